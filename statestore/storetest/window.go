package storetest

import (
	"fmt"
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
	winStore = statestore.WindowStore[string, string]
	winEntry = statestore.WindowEntry[string, string]
	winKey   = statestore.WindowKey[string]
)

// winModel is what a window store should show.
type winModel struct {
	entries   map[winKey]winEntry
	observed  int64
	retention int64
}

func newWinModel(retention time.Duration) *winModel {
	return &winModel{make(map[winKey]winEntry), -1, retention.Milliseconds()}
}

func (m *winModel) clone() *winModel {
	c := newWinModel(0)
	for k, e := range m.entries {
		c.entries[k] = e
	}
	c.observed, c.retention = m.observed, m.retention
	return c
}

func (m *winModel) alive(start int64) bool { return start > m.observed-m.retention }

// put takes nil for a deletion.
func (m *winModel) put(k winKey, e *winEntry) bool {
	m.observed = max(m.observed, k.Start)
	if !m.alive(k.Start) {
		return false
	}
	if e == nil {
		delete(m.entries, k)
	} else {
		m.entries[k] = *e
	}
	return true
}

// fetch returns what is alive, of one key or, with nil, of all.
func (m *winModel) fetch(key *string, from, to int64) []winEntry {
	return m.find(from, to, func(k string) bool { return key == nil || k == *key })
}

// find returns what is alive of some keys.
func (m *winModel) find(from, to int64, of func(key string) bool) (out []winEntry) {
	for k, e := range m.entries {
		if m.alive(k.Start) && k.Start >= from && k.Start < to && of(k.Key) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b winEntry) int { return strings.Compare(windowBytes(a), windowBytes(b)) })
	return out
}

// windowBytes is the key of a window as Kafka Streams writes it.
func windowBytes(e winEntry) string {
	var b strings.Builder
	b.WriteString(e.Key)
	for shift := 56; shift >= 0; shift -= 8 {
		b.WriteByte(byte(e.Start >> shift))
	}
	b.WriteString("\x00\x00\x00\x00")
	return b.String()
}

func testWindowEqualsModel(t *testing.T, e statestore.Engine) {
	r := seed(t)
	retentions := []time.Duration{10 * time.Second, 5 * time.Minute, time.Hour}
	for n, retention := range retentions {
		spec := statestore.Window("win", serde.String, serde.String).Retain(retention)
		p := partition(t, e, "win", int32(n))
		open := func() winStore {
			return openStore[winStore](t, spec, statestore.Backend{Partition: p, CacheBytes: []int{0, 800, 1 << 20}[r.IntN(3)], WriteBack: r.IntN(2) == 0})
		}
		s := open()
		m := newWinModel(retention)
		committed := m.clone()
		for range 4000 {
			switch x := r.IntN(1000); {
			case x < 975:
				stepWindow(t, r, s, m)
			case x < 985:
				commit(t, e, s)
				committed = m.clone()
			case x < 995:
				s.Discard()
				m = committed.clone()
			default:
				commit(t, e, s)
				committed = m.clone()
				check(t, s.Close())
				s = open()
			}
			if s.ObservedTime() != m.observed {
				t.Fatalf("the store's time is %d, want %d", s.ObservedTime(), m.observed)
			}
		}
		commit(t, e, s)
		want := m.fetch(nil, 0, math.MaxInt64)
		if got := entries(t, spec.View([]statestore.Partition{p}).All()); !reflect.DeepEqual(got, want) {
			t.Fatalf("retention %v: the committed view has %d windows, want %d", retention, len(got), len(want))
		}
		for range 100 {
			from := m.observed - r.Int64N(m.retention)
			compareWindows(t, r, spec.View([]statestore.Partition{p}), m, from, from+r.Int64N(m.retention))
		}
	}
}

// stepWindow does one random thing to a store and its model.
func stepWindow(t testing.TB, r *rand.Rand, s winStore, m *winModel) {
	t.Helper()
	key := randomKey(r)
	start := max(0, m.observed+r.Int64N(m.retention/20+2)-r.Int64N(m.retention/4+1)*r.Int64N(6))
	if r.IntN(300) == 0 {
		start += r.Int64N(2 * m.retention) // time jumps
	}
	from, to := start-r.Int64N(m.retention), start+r.Int64N(m.retention)
	if r.IntN(5) == 0 {
		from, to = math.MinInt64, math.MaxInt64
	}
	switch x := r.IntN(100); {
	case x < 45:
		w := winEntry{Key: key, Start: start, Value: randomValue(r), Timestamp: start + r.Int64N(100)}
		stored, err := s.Put(key, start, w.Value, w.Timestamp)
		check(t, err)
		if want := m.put(winKey{Key: key, Start: start}, &w); stored != want {
			t.Fatalf("put at %d: stored %v, want %v at time %d", start, stored, want, m.observed)
		}
	case x < 55:
		stored, err := s.Delete(key, start, start)
		check(t, err)
		if want := m.put(winKey{Key: key, Start: start}, nil); stored != want {
			t.Fatalf("delete at %d: stored %v, want %v at time %d", start, stored, want, m.observed)
		}
	case x < 80:
		if all := m.fetch(nil, 0, math.MaxInt64); len(all) > 0 && r.IntN(2) == 0 {
			w := all[r.IntN(len(all))]
			key, start = w.Key, w.Start
		}
		v, ts, found, err := s.FetchWithTime(key, start)
		check(t, err)
		w, ok := m.entries[winKey{Key: key, Start: start}]
		if !ok || !m.alive(start) {
			w, ok = winEntry{}, false
		}
		if v != w.Value || ts != w.Timestamp || found != ok {
			t.Fatalf("fetch of %q at %d: %.20q@%d, %v, want %.20q@%d, %v", key, start, v, ts, found, w.Value, w.Timestamp, ok)
		}
	case x < 92:
		want := m.fetch(&key, from, to)
		if got := entries(t, s.FetchRange(key, from, to)); !reflect.DeepEqual(got, want) {
			t.Fatalf("fetch of %q in [%d, %d): %.200v, want %.200v", key, from, to, got, want)
		}
		slices.Reverse(want)
		if got := entries(t, s.FetchRangeBackwards(key, from, to)); !reflect.DeepEqual(got, want) {
			t.Fatalf("fetch backwards of %q in [%d, %d): %.200v, want %.200v", key, from, to, got, want)
		}
	default:
		compareWindows(t, r, s, m, from, to)
	}
}

// compareWindows reads the windows of many keys.
func compareWindows(t testing.TB, r *rand.Rand, s statestore.ReadOnlyWindow[string, string], m *winModel, from, to int64) {
	t.Helper()
	want := m.fetch(nil, from, to)
	if got := entries(t, s.FetchAll(from, to)); !reflect.DeepEqual(got, want) {
		t.Fatalf("fetch of all in [%d, %d): %d windows, want %d", from, to, len(got), len(want))
	}
	slices.Reverse(want)
	if got := entries(t, s.FetchAllBackwards(from, to)); !reflect.DeepEqual(got, want) {
		t.Fatalf("fetch of all backwards in [%d, %d): %d windows, want %d", from, to, len(got), len(want))
	}
	rng, lo, hi, reverse := randomRange(r)
	want = m.find(from, to, func(key string) bool { return inRange(key, lo, hi) })
	if reverse {
		slices.Reverse(want)
	}
	if got := entries(t, s.FetchKeys(rng, from, to)); !reflect.DeepEqual(got, want) {
		t.Fatalf("fetch of keys [%q, %q) in [%d, %d), reverse=%v: %.300v, want %.300v", bound(lo), bound(hi), from, to, reverse, got, want)
	}
}

func openWindows(t testing.TB, e statestore.Engine, n int32, retention time.Duration) (winStore, statestore.Partition) {
	p := partition(t, e, "win", n)
	spec := statestore.Window("win", serde.String, serde.String).Retain(retention)
	return openStore[winStore](t, spec, statestore.Backend{Partition: p, CacheBytes: 1 << 20, WriteBack: true}), p
}

func testWindowRetention(t *testing.T, e statestore.Engine) {
	s, p := openWindows(t, e, 0, 30*time.Millisecond)
	put := func(start int64, want bool) {
		t.Helper()
		if stored, err := s.Put("a", start, "v", start); stored != want || err != nil {
			t.Errorf("put at %d: %v, %v, want %v", start, stored, err, want)
		}
	}
	starts := func(want ...int64) {
		t.Helper()
		var got []int64
		for _, w := range entries(t, s.All()) {
			got = append(got, w.Start)
		}
		if !slices.Equal(got, want) {
			t.Errorf("windows at %v, want %v", got, want)
		}
	}
	put(0, true)
	put(10, true)
	put(20, true)
	starts(0, 10, 20)
	put(30, true)
	starts(10, 20, 30) // 0 > 30 - 30 is false
	put(0, false)
	put(1, true)
	put(60, true)
	starts(60)
	commit(t, e, s)
	starts(60)
	put(10*time.Hour.Milliseconds(), true)
	commit(t, e, s)
	if got := scan(t, p, nil, nil, false); len(got) != 2 { // one window and the metadata
		t.Errorf("after a jump of time the engine holds %d entries, want that old segments are gone", len(got))
	}
	put(math.MaxInt64, true)
	put(math.MaxInt64-1, true)
	if _, found, err := s.Fetch("a", math.MaxInt64); !found || err != nil {
		t.Errorf("the last window of all: %v, %v", found, err)
	}
	commit(t, e, s)
	if _, err := s.Put("a", -1, "v", 0); err == nil {
		t.Error("a window before 1970 is accepted")
	}
	if _, found, err := s.Fetch("a", -1); found || err != nil {
		t.Errorf("a window before 1970: %v, %v", found, err)
	}
	for _, err := range []error{
		openError(statestore.Window("w", serde.String, serde.String), p),
		openError(statestore.Window("", serde.String, serde.String).Retain(time.Hour), p),
		openError(statestore.Window[string, string]("w", nil, serde.String).Retain(time.Hour), p),
		openError(statestore.KeyValue[string, string]("w", serde.String, nil), p),
	} {
		if err == nil {
			t.Error("a spec that lacks something opens")
		}
	}
}

func openError(s statestore.Spec, p statestore.Partition) error {
	_, err := s.Open(statestore.Backend{Partition: p})
	return err
}

// testWindowKeysApart uses keys whose bytes run into the start of other keys' windows.
func testWindowKeysApart(t *testing.T, e statestore.Engine) {
	s, _ := openWindows(t, e, 0, time.Hour)
	keys := []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00\x02"}
	for round := range 2 {
		for _, k := range keys {
			for start := range int64(3) {
				stored, err := s.Put(k, start, fmt.Sprint(len(k), start), start)
				if !stored || err != nil {
					t.Fatal(stored, err)
				}
			}
		}
		for _, k := range keys {
			var want []winEntry
			for start := range int64(3) {
				want = append(want, winEntry{Key: k, Start: start, Value: fmt.Sprint(len(k), start), Timestamp: start})
			}
			if got := entries(t, s.FetchRange(k, 0, 3)); !reflect.DeepEqual(got, want) {
				t.Errorf("round %d: windows of %q: %v, want %v", round, k, got, want)
			}
			if got := entries(t, s.FetchRange(k, 1, 2)); !reflect.DeepEqual(got, want[1:2]) {
				t.Errorf("round %d: window 1 of %q: %v", round, k, got)
			}
		}
		commit(t, e, s)
	}
}

func testWindowFlush(t *testing.T, e statestore.Engine) {
	type update = statestore.Update[winKey, string]
	s, _ := openWindows(t, e, 0, time.Hour)
	var got []update
	if !s.OnFlush(true, func(u *update) error { got = append(got, *u); return nil }) {
		t.Fatal("a write-back store does not hold changes back")
	}
	for i, start := range []int64{5, 0, 5, 10} {
		_, err := s.Put("k", start, fmt.Sprint(i), int64(i))
		check(t, err)
	}
	commit(t, e, s)
	_, err := s.Delete("k", 5, 9)
	check(t, err)
	check(t, s.Flush())
	want := []update{
		{Key: winKey{Key: "k", Start: 0}, New: "1", HasNew: true, Timestamp: 1},
		{Key: winKey{Key: "k", Start: 5}, New: "2", HasNew: true, Timestamp: 2},
		{Key: winKey{Key: "k", Start: 10}, New: "3", HasNew: true, Timestamp: 3},
		{Key: winKey{Key: "k", Start: 5}, Old: "2", HasOld: true, Timestamp: 9},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("forwarded %v, want %v", got, want)
	}
}

// testWindowTimeStays: what is not written moves the store's time for no longer than until the commit, or a restore would show windows that the store hides.
func testWindowTimeStays(t *testing.T, e statestore.Engine) {
	s, p := openWindows(t, e, 0, time.Hour)
	s.OnFlush(false, func(*statestore.Update[winKey, string]) error { return nil })
	put := func(start int64) {
		t.Helper()
		_, err := s.Put("k", start, "v", start)
		check(t, err)
	}
	const late = 5 * 3_600_000
	put(7)
	records := commit(t, e, s)
	put(8)
	_, err := s.Delete("k", late, late)
	check(t, err)
	records = append(records, commit(t, e, s)...)
	want := []winEntry{{Key: "k", Start: 7, Value: "v", Timestamp: 7}, {Key: "k", Start: 8, Value: "v", Timestamp: 8}}
	spec := statestore.Window("win", serde.String, serde.String).Retain(time.Hour)
	q := partition(t, e, "win", 100)
	restore(t, e, spec, q, records)
	restored := openStore[winStore](t, spec, statestore.Backend{Partition: q})
	for name, have := range map[string][]winEntry{
		"the store":    entries(t, s.All()),
		"the view":     entries(t, spec.View([]statestore.Partition{p}).All()),
		"the restored": entries(t, restored.All()),
	} {
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s shows %v, want %v", name, have, want)
		}
	}
	if s.ObservedTime() != 8 || restored.ObservedTime() != 8 {
		t.Errorf("the time of the store is %d, of the restored %d, want 8", s.ObservedTime(), restored.ObservedTime())
	}
	put(late)
	commit(t, e, s)
	if have := entries(t, s.All()); !reflect.DeepEqual(have, []winEntry{{Key: "k", Start: late, Value: "v", Timestamp: late}}) || s.ObservedTime() != late {
		t.Errorf("the store shows %v at %d, want the late window alone", have, s.ObservedTime())
	}
}

func testWindowRestore(t *testing.T, e statestore.Engine) {
	r := seed(t)
	const retention = 3 * time.Minute
	spec := statestore.Window("win", serde.String, serde.String).Retain(retention)
	s, _ := openWindows(t, e, 0, retention)
	m := newWinModel(retention)
	var records []logged
	for range 60 {
		for range r.IntN(60) {
			stepWindow(t, r, s, m)
		}
		records = append(records, commit(t, e, s)...)
	}
	want := m.fetch(nil, 0, math.MaxInt64)
	cut := len(records) / 3
	for n, parts := range [][][]logged{{records}, {records[:cut], records[cut:]}, {records[:2*cut], records[cut:]}} {
		p := partition(t, e, "win", int32(n+1))
		for _, part := range parts {
			restore(t, e, spec, p, part)
		}
		restored := openStore[winStore](t, spec, statestore.Backend{Partition: p})
		if got := entries(t, restored.All()); !reflect.DeepEqual(got, want) {
			t.Errorf("restored in %d parts: %d windows, want %d", len(parts), len(got), len(want))
		}
		if restored.ObservedTime() != m.observed {
			t.Errorf("restored in %d parts: the store's time is %d, want %d", len(parts), restored.ObservedTime(), m.observed)
		}
	}
}
