package storetest

import (
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

type (
	verStore = statestore.VersionedStore[string, string]
	version  = statestore.Version[string]
	said     struct {
		value string
		has   bool
		ends  bool // something that was said of an earlier time ends here, or a deletion was said when there was nothing
	}
	verModel struct {
		said     map[string]map[int64]said
		observed int64
	}
)

const verHistory = 2 * time.Minute

func (m *verModel) oldest() int64 { return m.observed - verHistory.Milliseconds() }

// periods returns what was said of a key, each until the next one.
func (m *verModel) periods(key string) (out []version, has []bool) {
	times := slices.Sorted(maps.Keys(m.said[key]))
	for i, at := range times {
		v := version{Value: m.said[key][at].value, ValidFrom: at, ValidTo: statestore.StillValid}
		if i+1 < len(times) {
			v.ValidTo = times[i+1]
		}
		out, has = append(out, v), append(has, m.said[key][at].has)
	}
	return out, has
}

func (m *verModel) put(key string, at int64, s said) int64 {
	m.observed = max(m.observed, at)
	if at < m.oldest() {
		return statestore.NotPut
	}
	if m.said[key] == nil {
		m.said[key] = map[int64]said{}
	}
	m.say(m.said[key], at, s)
	periods, _ := m.periods(key)
	for _, p := range periods {
		if p.ValidFrom == at {
			return p.ValidTo
		}
	}
	return statestore.StillValid // taken back
}

// say puts what is said of a key among what was said of it.
func (m *verModel) say(all map[int64]said, at int64, s said) {
	last, next := int64(-1), int64(-1)
	for t := range all {
		if last = max(last, t); t > at && (next < 0 || t < next) {
			next = t
		}
	}
	switch was, again := all[at]; {
	case next >= 0: // late
		after := all[next]
		after.ends = true
		all[next] = after
	case again && was.has && !s.has && !was.ends:
		delete(all, at)
		return
	case again:
		s.ends = was.ends
	default:
		s.ends = !s.has || all[last].has
	}
	all[at] = s
}

// versions returns the visible versions of a key.
func (m *verModel) versions(key string, from, to int64) (out []version) {
	periods, has := m.periods(key)
	for i, p := range periods {
		if has[i] && p.ValidFrom < to && p.ValidTo > max(from, m.oldest()) {
			out = append(out, p)
		}
	}
	return out
}

func (m *verModel) get(key string, asOf int64) (v version, found bool) {
	for _, v := range m.versions(key, math.MinInt64, math.MaxInt64) {
		if v.ValidFrom <= asOf && asOf < v.ValidTo && (asOf >= m.oldest() || v.ValidTo == statestore.StillValid) {
			return v, true
		}
	}
	return version{}, false
}

// all returns the versions of every key.
func (m *verModel) all() map[string][]version {
	out := map[string][]version{}
	for key := range m.said {
		if v := m.versions(key, 0, math.MaxInt64); v != nil {
			out[key] = v
		}
	}
	return out
}

var verKeys = []string{"", "a", "a\x00\x00\x00\x00\x00\x00\x00\x01", "b", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"}

func allVersions(t testing.TB, s statestore.ReadOnlyVersioned[string, string]) any {
	out := map[string][]version{}
	for _, key := range verKeys {
		v, back := entries(t, s.Versions(key, 0, math.MaxInt64)), entries(t, s.VersionsBackwards(key, 0, math.MaxInt64))
		if slices.Reverse(back); !reflect.DeepEqual(v, back) {
			t.Fatalf("versions of %q: %.300v, backwards %.300v", key, v, back)
		}
		if v != nil {
			out[key] = v
		}
	}
	return out
}

func testVersionedLife(t *testing.T, e statestore.Engine) {
	spec := statestore.Versioned("ver", serde.String, serde.String, verHistory)
	life[verStore, *verModel]{
		spec:  spec,
		empty: func() *verModel { return &verModel{map[string]map[int64]said{}, -1} },
		clone: func(m *verModel) *verModel {
			c := &verModel{map[string]map[int64]said{}, m.observed}
			for k, v := range m.said {
				c.said[k] = maps.Clone(v)
			}
			return c
		},
		unsorted: true,
		step:     stepVersioned,
		shown:    func(t testing.TB, s verStore) any { return allVersions(t, s) },
		want:     func(m *verModel) any { return m.all() },
		views:    func(t testing.TB, p []statestore.Partition) any { return allVersions(t, spec.View(p)) },
	}.run(t, e)
}

func stepVersioned(t testing.TB, r *rand.Rand, s verStore, m *verModel) {
	t.Helper()
	key := verKeys[r.IntN(len(verKeys))]
	at := max(0, m.observed+r.Int64N(1000)-r.Int64N(50_000)*r.Int64N(4))
	if known := slices.Sorted(maps.Keys(m.said[key])); len(known) > 0 && r.IntN(3) == 0 {
		at = known[r.IntN(len(known))] + r.Int64N(2)
	}
	switch x := r.IntN(100); {
	case x < 40:
		v := randomValue(r)
		validTo, err := s.Put(key, v, at)
		check(t, err)
		if want := m.put(key, at, said{value: v, has: true}); validTo != want {
			t.Fatalf("put of %q at %d is valid until %d, want %d", key, at, validTo, want)
		}
	case x < 60:
		validTo, err := s.Delete(key, at)
		check(t, err)
		if want := m.put(key, at, said{}); validTo != want {
			t.Fatalf("delete of %q at %d is valid until %d, want %d", key, at, validTo, want)
		}
	case x < 90:
		asOf := at + r.Int64N(3) - 1
		v, from, found, err := s.GetAsOf(key, asOf)
		check(t, err)
		if want, ok := m.get(key, asOf); v != want.Value || from != want.ValidFrom || found != ok {
			t.Fatalf("%q as of %d: %.20q since %d, %v, want %.20q since %d, %v", key, asOf, v, from, found, want.Value, want.ValidFrom, ok)
		}
	default:
		from, to := at-r.Int64N(10_000), at+r.Int64N(10_000)
		want := m.versions(key, from, to)
		if have := entries(t, s.Versions(key, from, to)); !reflect.DeepEqual(have, want) {
			t.Fatalf("versions of %q in [%d, %d): %.300v, want %.300v", key, from, to, have, want)
		}
		slices.Reverse(want)
		if have := entries(t, s.VersionsBackwards(key, from, to)); !reflect.DeepEqual(have, want) {
			t.Fatalf("versions backwards of %q in [%d, %d): %.300v, want %.300v", key, from, to, have, want)
		}
	}
	latest, from, found, err := s.Get(key)
	check(t, err)
	if want, ok := m.get(key, math.MaxInt64-1); latest != want.Value || from != want.ValidFrom || found != ok {
		t.Fatalf("latest of %q: %.20q since %d, %v, want %.20q since %d, %v", key, latest, from, found, want.Value, want.ValidFrom, ok)
	}
	if s.ObservedTime() != m.observed {
		t.Fatalf("the store's time is %d, want %d", s.ObservedTime(), m.observed)
	}
}
