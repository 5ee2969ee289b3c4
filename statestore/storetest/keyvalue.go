package storetest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

type (
	kvStore = statestore.KeyValueStore[string, string]
	kvEntry = statestore.Entry[string, string]
)

func entries[E any](t testing.TB, seq iter.Seq2[E, error]) (out []E) {
	t.Helper()
	for e, err := range seq {
		check(t, err)
		out = append(out, e)
	}
	return out
}

// kvModel is what a key-value store should show: the committed entries and the staged ones over them.
type kvModel struct {
	committed map[string]kvEntry
	staged    map[string]*kvEntry // nil: deleted
	times     map[string]int64    // of staged deletions
	held      bool                // changes are held back until Flush
	flushed   map[string]bool     // keys that had a value at a Flush since the commit
}

func newKVModel(held bool) *kvModel {
	return &kvModel{make(map[string]kvEntry), make(map[string]*kvEntry), make(map[string]int64), held, make(map[string]bool)}
}

func (m *kvModel) view() map[string]kvEntry {
	v := maps.Clone(m.committed)
	for k, e := range m.staged {
		if e == nil {
			delete(v, k)
		} else {
			v[k] = *e
		}
	}
	return v
}

func (m *kvModel) scan(lo, hi *string, reverse bool) (out []kvEntry) {
	v := m.view()
	for _, k := range slices.Sorted(maps.Keys(v)) {
		if inRange(k, lo, hi) {
			out = append(out, v[k])
		}
	}
	if reverse {
		slices.Reverse(out)
	}
	return out
}

// changelog is what a commit writes: all that changed, but no deletion of what was neither committed nor forwarded.
func (m *kvModel) changelog() (out []logged) {
	for _, k := range slices.Sorted(maps.Keys(m.staged)) {
		_, was := m.committed[k]
		if e := m.staged[k]; e != nil {
			out = append(out, logged{Key: k, Value: e.Value, Timestamp: e.Timestamp})
		} else if was || m.flushed[k] || !m.held {
			out = append(out, logged{Key: k, Deleted: true, Timestamp: m.times[k]})
		}
	}
	return out
}

func (m *kvModel) commit() {
	m.committed = m.view()
	clear(m.staged)
	clear(m.flushed)
}

func testKeyValueEqualsModel(t *testing.T, e statestore.Engine) {
	r := seed(t)
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	for n, cacheBytes := range []int{0, 700, 5000, 1 << 20} {
		p := partition(t, e, "kv", int32(n))
		s := openStore[kvStore](t, spec, statestore.Backend{Partition: p, CacheBytes: cacheBytes, WriteBack: n%2 == 1})
		forwarded := trackUpdates(t, s)
		m := newKVModel(n%2 == 1)
		for range 6000 {
			stepKeyValue(t, r, e, s, m)
		}
		check(t, s.Flush())
		commit(t, e, s)
		m.commit()
		if n%2 == 1 {
			if want := valuesOf(m.committed); !maps.Equal(forwarded, want) {
				t.Fatalf("cache %d: the forwarded changes add up to %d keys, the store has %d", cacheBytes, len(forwarded), len(want))
			}
		}
		view := spec.View([]statestore.Partition{p})
		if got, want := entries(t, view.All()), m.scan(nil, nil, false); !reflect.DeepEqual(got, want) {
			t.Fatalf("cache %d: the committed view has %d entries, want %d", cacheBytes, len(got), len(want))
		}
	}
}

func valuesOf(m map[string]kvEntry) map[string]string {
	v := make(map[string]string, len(m))
	for k, e := range m {
		v[k] = e.Value
	}
	return v
}

// trackUpdates folds what a write-back store forwards, and checks that the old value of each change is the new one of the change before.
func trackUpdates(t testing.TB, s kvStore) map[string]string {
	state := make(map[string]string)
	s.OnFlush(true, func(u *statestore.Update[string, string]) error {
		old, had := state[u.Key]
		if u.HasOld != had || u.Old != old {
			t.Errorf("update of %q comes with old value %.20q, %v, the one forwarded before was %.20q, %v", u.Key, u.Old, u.HasOld, old, had)
		}
		if !u.HasNew && !had {
			t.Errorf("update of %q from no value to no value", u.Key)
		}
		if u.HasNew {
			state[u.Key] = u.New
		} else {
			delete(state, u.Key)
		}
		return nil
	})
	return state
}

// stepKeyValue does one random thing to a store and its model.
func stepKeyValue(t testing.TB, r *rand.Rand, e statestore.Engine, s kvStore, m *kvModel) {
	t.Helper()
	k := randomKey(r)
	switch x := r.IntN(1000); {
	case x < 350:
		v, ts := randomValue(r), r.Int64N(1000)
		check(t, s.Put(k, v, ts))
		m.staged[k] = &kvEntry{Key: k, Value: v, Timestamp: ts}
	case x < 500:
		ts := r.Int64N(1000)
		check(t, s.Delete(k, ts))
		m.staged[k], m.times[k] = nil, ts
	case x < 900:
		v, ts, found, err := s.GetWithTime(k)
		check(t, err)
		if want, ok := m.view()[k]; v != want.Value || ts != want.Timestamp || found != ok {
			t.Fatalf("get of %q: %.20q@%d, %v, want %.20q@%d, %v", k, v, ts, found, want.Value, want.Timestamp, ok)
		}
	case x < 960:
		scanKeyValue(t, r, s, m)
	case x < 975:
		check(t, s.Flush())
		for k, e := range m.staged {
			m.flushed[k] = m.flushed[k] || e != nil
		}
	case x < 995:
		want := m.changelog()
		if got := commit(t, e, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("changelog of %d records, want %d: %.300v, want %.300v", len(got), len(want), got, want)
		}
		m.commit()
	default:
		// What was forwarded goes with the transaction too, so the fold of a write-back store is only whole when nothing was flushed since the commit. Commit first.
		commit(t, e, s)
		m.commit()
		check(t, s.Put("to be discarded", "x", 1))
		check(t, s.Delete(k, 1))
		s.Discard()
		if n := s.StagedBytes(); n != 0 {
			t.Fatalf("%d bytes are staged after Discard", n)
		}
	}
}

func scanKeyValue(t testing.TB, r *rand.Rand, s kvStore, m *kvModel) {
	t.Helper()
	rng, lo, hi, reverse := randomRange(r)
	if got, want := entries(t, s.Range(rng)), m.scan(lo, hi, reverse); !reflect.DeepEqual(got, want) {
		t.Fatalf("range [%q, %q) reverse=%v: %.200v, want %.200v", bound(lo), bound(hi), reverse, got, want)
	}
	prefix := randomKey(r)
	got := entries(t, s.Range(statestore.Prefix[string]([]byte(prefix))))
	for _, e := range m.scan(&prefix, nil, false) {
		if len(e.Key) < len(prefix) || e.Key[:len(prefix)] != prefix {
			break
		}
		if len(got) == 0 || got[0] != e {
			t.Fatalf("prefix %q misses %q", prefix, e.Key)
		}
		got = got[1:]
	}
	if len(got) != 0 {
		t.Fatalf("prefix %q finds %q too", prefix, got[0].Key)
	}
}

func testKeyValueStages(t *testing.T, e statestore.Engine) {
	p := partition(t, e, "kv", 0)
	spec := statestore.KeyValue("kv", serde.String, serde.Int64)
	s := openStore[statestore.KeyValueStore[string, int64]](t, spec, statestore.Backend{Partition: p, CacheBytes: 1 << 20})
	view := spec.View([]statestore.Partition{p})
	check(t, s.Put("a", 1, 10))
	if s.StagedBytes() == 0 {
		t.Error("a put stages no bytes")
	}
	if _, found, _ := view.Get("a"); found {
		t.Error("the view shows what is not committed")
	}
	want := []logged{{Key: "a", Value: "\x00\x00\x00\x00\x00\x00\x00\x01", Timestamp: 10}}
	if got := commit(t, e, s); !reflect.DeepEqual(got, want) {
		t.Errorf("changelog %v, want %v", got, want)
	}
	if v, ts, found, err := view.GetWithTime("a"); v != 1 || ts != 10 || !found || err != nil {
		t.Errorf("the view shows %d@%d, %v, %v", v, ts, found, err)
	}
	check(t, s.Put("a", 2, 20))
	check(t, s.Put("b", 2, 20))
	check(t, s.Delete("a", 21))
	s.Discard()
	if v, found, _ := s.Get("a"); v != 1 || !found {
		t.Errorf("after Discard a = %d, %v, want 1", v, found)
	}
	if got := changelog(t, s); got != nil {
		t.Errorf("after Discard the changelog is %v", got)
	}
	boom := errors.New("boom")
	check(t, s.Put("c", 3, 30))
	if err := s.Changelog(func([]byte, []byte, int64) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Changelog returns %v, want the error of emit", err)
	}
	commit(t, e, s)
	check(t, s.Close())

	again := openStore[statestore.KeyValueStore[string, int64]](t, spec, statestore.Backend{Partition: p})
	got := entries(t, again.All())
	if want := []statestore.Entry[string, int64]{{Key: "a", Value: 1, Timestamp: 10}, {Key: "c", Value: 3, Timestamp: 30}}; !reflect.DeepEqual(got, want) {
		t.Errorf("opened again the store has %v, want %v", got, want)
	}
}

func testKeyValueFlush(t *testing.T, e statestore.Engine) {
	type update = statestore.Update[string, string]
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	for n, withOld := range []bool{false, true} {
		s := openStore[kvStore](t, spec, statestore.Backend{Partition: partition(t, e, "kv", int32(n)), CacheBytes: 1 << 20, WriteBack: true})
		var got []update
		if !s.OnFlush(withOld, func(u *update) error { got = append(got, *u); return nil }) {
			t.Fatal("a write-back store does not hold changes back")
		}
		expect := func(what string, want ...update) {
			t.Helper()
			got = nil
			check(t, s.Flush())
			if !withOld {
				for i := range want {
					want[i].Old, want[i].HasOld = "", false
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("withOld=%v, %s: forwarded %v, want %v", withOld, what, got, want)
			}
		}
		check(t, s.Put("a", "1", 1))
		check(t, s.Put("b", "1", 2))
		check(t, s.Put("a", "2", 3))
		expect("in the order of the last change", update{Key: "b", New: "1", HasNew: true, Timestamp: 2}, update{Key: "a", New: "2", HasNew: true, Timestamp: 3})
		expect("nothing since")
		check(t, s.Put("a", "3 is longer", 4))
		check(t, s.Delete("b", 5))
		check(t, s.Put("c", "1", 6))
		check(t, s.Delete("c", 7))
		expect("old values within a transaction", update{Key: "a", New: "3 is longer", Old: "2", HasNew: true, HasOld: true, Timestamp: 4},
			update{Key: "b", Old: "1", HasOld: true, Timestamp: 5})
		commit(t, e, s)
		check(t, s.Put("a", "4", 8))
		expect("old value of the commit before", update{Key: "a", New: "4", Old: "3 is longer", HasNew: true, HasOld: true, Timestamp: 8})
		commit(t, e, s)
		s.Discard() // nothing is cached: the old value is in the engine alone
		check(t, s.Put("a", "5", 9))
		expect("old value of the engine", update{Key: "a", New: "5", Old: "4", HasNew: true, HasOld: true, Timestamp: 9})
		check(t, s.Put("a", "6", 10))
		s.Discard()
		expect("nothing after Discard")
	}
	direct := openStore[kvStore](t, spec.WithoutCache(), statestore.Backend{Partition: partition(t, e, "kv", 9), WriteBack: true})
	if direct.OnFlush(true, func(*update) error { return errors.New("called") }) {
		t.Error("a store without cache holds changes back")
	}
	check(t, direct.Put("a", "1", 1))
	check(t, direct.Flush())
}

// testNothingWritten: a write-back store says nothing of a row that was not there at the last commit and is not there at this one, whatever was forwarded between.
func testNothingWritten(t *testing.T, e statestore.Engine) {
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	for n, cacheBytes := range []int{0, 1 << 20} {
		s := openStore[kvStore](t, spec, statestore.Backend{Partition: partition(t, e, "kv", int32(n)), CacheBytes: cacheBytes, WriteBack: true})
		forwarded := 0
		s.OnFlush(n == 0, func(*statestore.Update[string, string]) error { forwarded++; return nil })
		written := func(what string, want ...logged) {
			t.Helper()
			if have := commit(t, e, s); !reflect.DeepEqual(have, want) {
				t.Errorf("cache of %d bytes, %s: the changelog gets %v, want %v", cacheBytes, what, have, want)
			}
		}
		check(t, s.Put("a", "1", 1))
		check(t, s.Delete("a", 2))
		check(t, s.Delete("b", 2))
		check(t, s.Put("c", "1", 3))
		written("rows that came and went", logged{"c", "1", false, 3})
		check(t, s.Delete("a", 4))
		check(t, s.Delete("c", 4))
		check(t, s.Put("c", "2", 5))
		check(t, s.Delete("c", 6))
		written("rows that went", logged{"c", "", true, 6})
		if forwarded != 2 {
			t.Errorf("%d changes were forwarded, want 2", forwarded)
		}
		check(t, s.Delete("a", 7))
		check(t, s.Flush())
		check(t, s.Put("a", "3", 8))
		written("a row that came after Flush found none", logged{"a", "3", false, 8})
		check(t, s.Delete("a", 9))
		check(t, s.Flush())
		check(t, s.Put("a", "4", 10))
		check(t, s.Delete("a", 11))
		written("a row that went, and came and went after Flush", logged{"a", "", true, 11})
		if all := entries(t, s.All()); all != nil {
			t.Errorf("the store has %v", all)
		}
	}
}

func testKeyValueWalk(t *testing.T, e statestore.Engine) {
	s := openStore[kvStore](t, statestore.KeyValue("kv", serde.String, serde.String), statestore.Backend{Partition: partition(t, e, "kv", 0), CacheBytes: 900})
	for i := range 100 {
		check(t, s.Put(fmt.Sprintf("%03d", i), "v", int64(i)))
		if i == 50 {
			commit(t, e, s)
		}
	}
	// Each entry is deleted by the walk that finds it, and reads in between throw the cache about.
	seen := 0
	for entry, err := range s.All() {
		check(t, err)
		if want := fmt.Sprintf("%03d", seen); entry.Key != want {
			t.Fatalf("the walk comes to %q, want %q", entry.Key, want)
		}
		seen++
		check(t, s.Delete(entry.Key, 1000))
		for i := range 20 {
			_, _, err := s.Get(fmt.Sprintf("absent %d-%d", seen, i))
			check(t, err)
		}
	}
	if seen != 100 {
		t.Errorf("the walk saw %d entries, want 100", seen)
	}
	if left := entries(t, s.All()); left != nil {
		t.Errorf("%d entries are left", len(left))
	}
	for range s.All() {
		t.Error("an empty store has an entry")
	}
	for _, err := range s.Range(statestore.Between("b", "a")) {
		t.Errorf("an empty range has an entry, or error %v", err)
	}
}

func testKeyValueRestore(t *testing.T, e statestore.Engine) {
	r := seed(t)
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	p := partition(t, e, "kv", 0)
	s := openStore[kvStore](t, spec, statestore.Backend{Partition: p, CacheBytes: 1 << 20})
	var records []logged
	for range 20 {
		for range r.IntN(30) {
			if r.IntN(3) == 0 {
				check(t, s.Delete(randomKey(r), r.Int64N(100)))
			} else {
				check(t, s.Put(randomKey(r), randomValue(r), r.Int64N(100)))
			}
		}
		records = append(records, commit(t, e, s)...)
	}
	want := scan(t, p, nil, nil, false)
	full := partition(t, e, "kv", 1)
	restore(t, e, spec, full, records)
	if got := scan(t, full, nil, nil, false); !reflect.DeepEqual(got, want) {
		t.Errorf("restored from zero: %d entries, want the %d of the original, byte for byte", len(got), len(want))
	}
	half := partition(t, e, "kv", 2)
	restore(t, e, spec, half, records[:len(records)/2])
	restore(t, e, spec, half, records[len(records)/3:]) // what is there already may come again
	if got := scan(t, half, nil, nil, false); !reflect.DeepEqual(got, want) {
		t.Errorf("restored in two parts: %d entries, want %d", len(got), len(want))
	}
}
