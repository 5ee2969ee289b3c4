package storetest

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

type (
	sesStore = statestore.SessionStore[string, string]
	sesEntry = statestore.SessionEntry[string, string]
	sesKey   = statestore.SessionKey[string]
)

// sesModel is what a session store should show.
type sesModel struct {
	entries  map[sesKey]sesEntry
	observed int64
}

const sesRetention = 3 * time.Minute

func (m *sesModel) alive(end int64) bool { return end > m.observed-sesRetention.Milliseconds() }

func (m *sesModel) find(keep func(sesEntry) bool) (out []sesEntry) {
	for _, e := range m.entries {
		if m.alive(e.End) && keep(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b sesEntry) int { return strings.Compare(sessionBytes(a), sessionBytes(b)) })
	return out
}

// sessionBytes is the key of a session as Kafka Streams writes it.
func sessionBytes(e sesEntry) string {
	var b strings.Builder
	b.WriteString(e.Key)
	for _, t := range []int64{e.End, e.Start} {
		for shift := 56; shift >= 0; shift -= 8 {
			b.WriteByte(byte(t >> shift))
		}
	}
	return b.String()
}

func testSessionLife(t *testing.T, e statestore.Engine) {
	spec := statestore.Session("ses", serde.String, serde.String).Retain(sesRetention)
	all := func(sesEntry) bool { return true }
	life[sesStore, *sesModel]{
		spec:  spec,
		empty: func() *sesModel { return &sesModel{map[sesKey]sesEntry{}, -1} },
		clone: func(m *sesModel) *sesModel { return &sesModel{maps.Clone(m.entries), m.observed} },
		step:  stepSession,
		shown: func(t testing.TB, s sesStore) any { return entries(t, s.All()) },
		want:  func(m *sesModel) any { return m.find(all) },
		views: func(t testing.TB, p []statestore.Partition) any { return entries(t, spec.View(p).All()) },
	}.run(t, e)
}

func stepSession(t testing.TB, r *rand.Rand, s sesStore, m *sesModel) {
	t.Helper()
	key := randomKey(r)
	end := max(0, m.observed+r.Int64N(3000)-r.Int64N(20_000)*r.Int64N(3))
	if r.IntN(200) == 0 {
		end += r.Int64N(2 * sesRetention.Milliseconds())
	}
	start := max(0, end-r.Int64N(30_000))
	if known := m.find(func(sesEntry) bool { return true }); len(known) > 0 && r.IntN(3) == 0 {
		k := known[r.IntN(len(known))]
		key, start, end = k.Key, k.Start, k.End
	}
	k := sesKey{Key: key, Start: start, End: end}
	switch x := r.IntN(100); {
	case x < 45:
		w := sesEntry{Key: key, Start: start, End: end, Value: randomValue(r), Timestamp: r.Int64N(1000)}
		stored, err := s.Put(key, start, end, w.Value, w.Timestamp)
		check(t, err)
		m.observed = max(m.observed, end)
		if want := m.alive(end); stored != want {
			t.Fatalf("put of [%d, %d]: stored %v at time %d", start, end, stored, m.observed)
		} else if want {
			m.entries[k] = w
		}
	case x < 60:
		stored, err := s.Remove(key, start, end, end)
		check(t, err)
		m.observed = max(m.observed, end)
		if stored != m.alive(end) {
			t.Fatalf("remove of [%d, %d]: stored %v at time %d", start, end, stored, m.observed)
		}
		delete(m.entries, k)
	case x < 75:
		v, found, err := s.FetchSession(key, start, end)
		check(t, err)
		w, ok := m.entries[k]
		if !ok || !m.alive(end) {
			w, ok = sesEntry{}, false
		}
		if v != w.Value || found != ok {
			t.Fatalf("session %+v: %.20q, %v, want %.20q, %v", k, v, found, w.Value, ok)
		}
	case x < 95:
		earliest, latest := start-r.Int64N(5000), end+r.Int64N(5000)
		if r.IntN(4) == 0 {
			earliest, latest = end, start // both ends belong to it
		}
		want := m.find(func(e sesEntry) bool { return e.Key == key && e.End >= earliest && e.Start <= latest })
		if have := entries(t, s.FindSessions(key, earliest, latest)); !reflect.DeepEqual(have, want) {
			t.Fatalf("sessions of %q from %d to %d: %.200v, want %.200v", key, earliest, latest, have, want)
		}
		slices.Reverse(want)
		if have := entries(t, s.FindSessionsBackwards(key, earliest, latest)); !reflect.DeepEqual(have, want) {
			t.Fatalf("sessions backwards of %q from %d to %d: %.200v, want %.200v", key, earliest, latest, have, want)
		}
	case x < 97:
		want := m.find(func(e sesEntry) bool { return e.Key == key })
		if have := entries(t, s.Fetch(key)); !reflect.DeepEqual(have, want) {
			t.Fatalf("sessions of %q: %.200v, want %.200v", key, have, want)
		}
		slices.Reverse(want)
		if have := entries(t, s.FetchBackwards(key)); !reflect.DeepEqual(have, want) {
			t.Fatalf("sessions of %q backwards: %.200v, want %.200v", key, have, want)
		}
	default:
		compareSessions(t, r, s, m, start, end)
	}
	if s.ObservedTime() != m.observed {
		t.Fatalf("the store's time is %d, want %d", s.ObservedTime(), m.observed)
	}
}

// compareSessions reads the sessions of many keys.
func compareSessions(t testing.TB, r *rand.Rand, s statestore.ReadOnlySession[string, string], m *sesModel, start, end int64) {
	t.Helper()
	want := m.find(func(e sesEntry) bool { return e.End >= start && e.End <= end })
	if have := entries(t, s.FetchAll(start, end)); !reflect.DeepEqual(have, want) {
		t.Fatalf("sessions that end in [%d, %d]: %.200v, want %.200v", start, end, have, want)
	}
	slices.Reverse(want)
	if have := entries(t, s.FetchAllBackwards(start, end)); !reflect.DeepEqual(have, want) {
		t.Fatalf("sessions backwards that end in [%d, %d]: %.200v, want %.200v", start, end, have, want)
	}
	rng, lo, hi, reverse := randomRange(r)
	ordered := func(e []sesEntry) []sesEntry {
		if reverse {
			slices.Reverse(e)
		}
		return e
	}
	want = ordered(m.find(func(e sesEntry) bool { return inRange(e.Key, lo, hi) }))
	if have := entries(t, s.FetchKeys(rng)); !reflect.DeepEqual(have, want) {
		t.Fatalf("sessions of keys [%q, %q), reverse=%v: %.300v, want %.300v", bound(lo), bound(hi), reverse, have, want)
	}
	want = ordered(m.find(func(e sesEntry) bool { return inRange(e.Key, lo, hi) && e.End >= start && e.Start <= end }))
	if have := entries(t, s.FindSessionsOfKeys(rng, start, end)); !reflect.DeepEqual(have, want) {
		t.Fatalf("sessions of keys [%q, %q) from %d to %d, reverse=%v: %.300v, want %.300v", bound(lo), bound(hi), start, end, reverse, have, want)
	}
}

// testSessionEdges merges sessions while it walks over them, at both ends of time.
func testSessionEdges(t *testing.T, e statestore.Engine) {
	spec := statestore.Session("ses", serde.String, serde.Int64).Retain(time.Hour)
	s := openStore[statestore.SessionStore[string, int64]](t, spec, statestore.Backend{Partition: partition(t, e, "ses", 0), CacheBytes: 1 << 20, WriteBack: true})
	type update = statestore.Update[sesKey, int64]
	var got []update
	s.OnFlush(true, func(u *update) error { got = append(got, *u); return nil })
	for _, at := range []int64{0, 20, 10} {
		merged, start, end := int64(1), at, at
		for e, err := range s.FindSessions("k", at-10, at+10) {
			check(t, err)
			_, err = s.Remove("k", e.Start, e.End, at)
			check(t, err)
			merged, start, end = merged+e.Value, min(start, e.Start), max(end, e.End)
		}
		stored, err := s.Put("k", start, end, merged, at)
		if err != nil || !stored {
			t.Fatalf("put at %d: %v, %v", at, stored, err)
		}
	}
	check(t, s.Flush())
	// The sessions of one record that came and went again are left out.
	want := []update{{Key: sesKey{Key: "k", Start: 0, End: 20}, New: 3, HasNew: true, Timestamp: 10}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("forwarded %v, want %v", got, want)
	}
	if stored, err := s.Put("k", 5, math.MaxInt64, 1, 0); !stored || err != nil {
		t.Errorf("a session to the end of time: %v, %v", stored, err)
	}
	if n := len(entries(t, s.Fetch("k"))); n != 1 {
		t.Errorf("%d sessions of the key at the end of time, want one", n)
	}
	if n := len(entries(t, s.All())); n != 1 {
		t.Errorf("%d sessions at the end of time, want one", n)
	}
	for _, bad := range [][2]int64{{-1, 5}, {5, 4}} {
		if _, err := s.Put("k", bad[0], bad[1], 1, 0); err == nil {
			t.Errorf("a session from %d to %d is accepted", bad[0], bad[1])
		}
	}
	if err := openError(statestore.Session("x", serde.String, serde.String), nil); err == nil {
		t.Error("a session store without retention opens")
	}
}

// joinStore and its model: records in the order of arrival.
type (
	joinStore = statestore.JoinWindowStore[string, string]
	joinModel struct {
		records  []winEntry
		observed int64
	}
)

const joinRetention = 2 * time.Minute

func (m *joinModel) find(keep func(winEntry) bool) (out []winEntry) {
	for _, e := range m.records {
		if e.Start > m.observed-joinRetention.Milliseconds() && keep(e) {
			out = append(out, e)
		}
	}
	return byKey(out)
}

// byKey sorts records by key, then time, then arrival.
func byKey(records []winEntry) []winEntry {
	slices.SortStableFunc(records, func(a, b winEntry) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Start, b.Start))
	})
	return records
}

func testJoinWindowLife(t *testing.T, e statestore.Engine) {
	life[joinStore, *joinModel]{
		spec:  statestore.JoinWindow("join", serde.String, serde.String).Retain(joinRetention),
		empty: func() *joinModel { return &joinModel{observed: -1} },
		clone: func(m *joinModel) *joinModel { return &joinModel{slices.Clone(m.records), m.observed} },
		shown: func(t testing.TB, s joinStore) any { return byKey(entries(t, s.All())) }, // keys of several lengths are mixed
		want:  func(m *joinModel) any { return m.find(func(winEntry) bool { return true }) },
		step: func(t testing.TB, r *rand.Rand, s joinStore, m *joinModel) {
			key := randomKey(r)
			at := max(0, m.observed+r.Int64N(1500)-r.Int64N(4000)*r.Int64N(4))
			if n := len(m.records); n > 0 && r.IntN(3) == 0 { // equal key and time
				key, at = m.records[n-1].Key, m.records[n-1].Start
			}
			if r.IntN(3) > 0 {
				w := winEntry{Key: key, Start: at, Value: randomValue(r), Timestamp: at}
				stored, err := s.Put(key, at, w.Value)
				check(t, err)
				m.observed = max(m.observed, at)
				if want := at > m.observed-joinRetention.Milliseconds(); stored != want {
					t.Fatalf("put at %d: stored %v at time %d", at, stored, m.observed)
				} else if want {
					m.records = append(m.records, w)
				}
				return
			}
			earliest, latest := at-r.Int64N(5000), at+r.Int64N(5000)
			if r.IntN(3) == 0 {
				earliest, latest = at, at
			}
			want := m.find(func(e winEntry) bool { return e.Key == key && e.Start >= earliest && e.Start <= latest })
			if have := entries(t, s.Fetch(key, earliest, latest)); !reflect.DeepEqual(have, want) {
				t.Fatalf("records of %q from %d to %d: %.300v, want %.300v", key, earliest, latest, have, want)
			}
		},
	}.run(t, e)
}
