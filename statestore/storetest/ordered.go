package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

type (
	unmatchedStore = statestore.UnmatchedStore[string, string, int64]
	unmatchedEntry = statestore.UnmatchedEntry[string, string, int64]
	unmatchedModel struct{ records []unmatchedEntry }
)

// inOrder returns the records by time, side, key and arrival.
func (m *unmatchedModel) inOrder() []unmatchedEntry {
	out := slices.Clone(m.records)
	slices.SortStableFunc(out, func(a, b unmatchedEntry) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Key, b.Key))
	})
	return out
}

func (m *unmatchedModel) delete(e unmatchedEntry) (deleted bool) {
	before := len(m.records)
	m.records = slices.DeleteFunc(m.records, func(o unmatchedEntry) bool {
		return o.Timestamp == e.Timestamp && o.Side == e.Side && o.Key == e.Key
	})
	return len(m.records) < before
}

func testUnmatchedLife(t *testing.T, e statestore.Engine) {
	now := int64(0)
	life[unmatchedStore, *unmatchedModel]{
		spec:  statestore.Unmatched("unmatched", serde.String, serde.String, serde.Int64),
		empty: func() *unmatchedModel { return new(unmatchedModel) },
		clone: func(m *unmatchedModel) *unmatchedModel { return &unmatchedModel{slices.Clone(m.records)} },
		shown: func(t testing.TB, s unmatchedStore) any { return orNil(entries(t, s.Oldest())) },
		want:  func(m *unmatchedModel) any { return orNil(m.inOrder()) },
		step: func(t testing.TB, r *rand.Rand, s unmatchedStore, m *unmatchedModel) {
			now += r.Int64N(3)
			stepUnmatched(t, r, s, m, now)
			if oldest, ok := s.OldestTime(); len(m.records) > 0 && (!ok || oldest > m.inOrder()[0].Timestamp) {
				t.Fatalf("the oldest time is %d, %v, and there is a record at %d", oldest, ok, m.inOrder()[0].Timestamp)
			}
		},
	}.run(t, e)
}

// orNil makes an empty slice nil.
func orNil[E any](s []E) []E {
	if len(s) == 0 {
		return nil
	}
	return s
}

func stepUnmatched(t testing.TB, r *rand.Rand, s unmatchedStore, m *unmatchedModel, now int64) {
	t.Helper()
	w := unmatchedEntry{Key: randomKey(r), Timestamp: max(0, now-r.Int64N(20)), Side: statestore.Side(r.IntN(2))}
	if n := len(m.records); n > 0 && r.IntN(2) == 0 {
		w = m.records[r.IntN(n)]
	}
	switch x := r.IntN(100); {
	case x < 55:
		var err error
		if w.Side == statestore.Left {
			w.Left = randomValue(r)
			err = s.AddLeft(w.Key, w.Timestamp, w.Left)
		} else {
			w.Right = r.Int64()
			err = s.AddRight(w.Key, w.Timestamp, w.Right)
		}
		check(t, err)
		m.records = append(m.records, w)
	case x < 80:
		deleted, err := s.Delete(w.Side, w.Key, w.Timestamp, now)
		check(t, err)
		if want := m.delete(w); deleted != want {
			t.Fatalf("delete of %+v: %v, want %v", w, deleted, want)
		}
	case x < 95: // emit what is due, as a join does: of each side up to a time of its own
		due := [2]int64{now - r.Int64N(25), now - r.Int64N(25)}
		var have, want []unmatchedEntry
		for _, e := range m.inOrder() {
			if e.Timestamp < due[e.Side] {
				want = append(want, e)
			}
		}
		for e, err := range s.Oldest() {
			check(t, err)
			if e.Timestamp >= max(due[0], due[1]) {
				break
			}
			if e.Timestamp < due[e.Side] {
				have = append(have, e)
				_, err := s.Delete(e.Side, e.Key, e.Timestamp, now)
				check(t, err)
				m.delete(e)
			}
		}
		if !reflect.DeepEqual(have, want) {
			t.Fatalf("due before %v: %.500v, want %.500v", due, have, want)
		}
	default: // something is added behind a walk that removes all that it sees
		added := unmatchedEntry{Key: "added", Timestamp: r.Int64N(now + 1), Side: statestore.Left}
		first := true
		for e, err := range s.Oldest() {
			check(t, err)
			_, err = s.Delete(e.Side, e.Key, e.Timestamp, now)
			check(t, err)
			m.delete(e)
			if first {
				check(t, s.AddLeft(added.Key, added.Timestamp, ""))
				m.records = append(m.records, added)
			}
			if first = false; e.Key == "added" {
				break
			}
		}
	}
}

type (
	graceStore = statestore.GraceBufferStore[string, string]
	graceEntry = statestore.GraceEntry[string, string]
	graceModel struct{ records []graceEntry }
)

func (m *graceModel) inOrder() []graceEntry {
	out := slices.Clone(m.records)
	// A number of four bytes after the key is what arrival orders by; keys that continue with such bytes mix with it, and the test has none.
	slices.SortStableFunc(out, func(a, b graceEntry) int {
		return cmp.Or(cmp.Compare(a.Context.Timestamp, b.Context.Timestamp), cmp.Compare(a.Key, b.Key))
	})
	return out
}

func testGraceLife(t *testing.T, e statestore.Engine) {
	now := int64(0)
	life[graceStore, *graceModel]{
		spec:  statestore.GraceBuffer("grace", serde.String, serde.String),
		empty: func() *graceModel { return new(graceModel) },
		clone: func(m *graceModel) *graceModel { return &graceModel{slices.Clone(m.records)} },
		shown: func(t testing.TB, s graceStore) any { return orNil(popAll(t, s)) },
		want:  func(m *graceModel) any { return orNil(m.inOrder()) },
		step: func(t testing.TB, r *rand.Rand, s graceStore, m *graceModel) {
			now += r.Int64N(3)
			if r.IntN(3) > 0 {
				g := graceEntry{Key: string(rune('a' + r.IntN(4))), Value: randomValue(r), Context: randomContext(r, max(0, now-r.Int64N(10)))}
				check(t, s.Add(g.Key, g.Value, &g.Context))
				m.records = append(m.records, g)
				return
			}
			until := now - r.Int64N(15)
			for {
				g, ok, err := s.Pop(until, now)
				check(t, err)
				order := m.inOrder()
				if want := len(order) > 0 && order[0].Context.Timestamp <= until; ok != want {
					t.Fatalf("pop until %d: %v, want %v", until, ok, want)
				}
				if !ok {
					return
				}
				if !reflect.DeepEqual(g, order[0]) {
					t.Fatalf("pop until %d: %.300v, want %.300v", until, g, order[0])
				}
				i := slices.IndexFunc(m.records, func(o graceEntry) bool { return reflect.DeepEqual(o, g) })
				m.records = slices.Delete(m.records, i, i+1)
			}
		},
	}.run(t, e)
}

// popAll empties a buffer and fills it again, since it shows nothing otherwise. What has been there goes through the changelog once more.
func popAll(t testing.TB, s graceStore) (all []graceEntry) {
	t.Helper()
	for {
		g, ok, err := s.Pop(math.MaxInt64, 0)
		check(t, err)
		if !ok {
			break
		}
		all = append(all, g)
	}
	for _, g := range all {
		check(t, s.Add(g.Key, g.Value, &g.Context))
	}
	return all
}

func randomContext(r *rand.Rand, timestamp int64) statestore.RecordContext {
	c := statestore.RecordContext{Timestamp: timestamp, Topic: "topic", Partition: r.Int32N(9), Offset: r.Int64()}
	for range r.IntN(3) {
		h := statestore.Header{Key: randomKey(r), Value: []byte(randomKey(r))}
		if r.IntN(3) == 0 {
			h.Value = nil
		}
		c.Headers = append(c.Headers, h)
	}
	return c
}

type (
	bufStore = statestore.BufferStore[string, string]
	bufEntry = statestore.BufferEntry[string, string]
	bufModel struct{ slots map[string]bufEntry }
)

func (m *bufModel) inOrder() (out []bufEntry) {
	for _, e := range m.slots {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b bufEntry) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Key, b.Key)) })
	return out
}

// bytes is what Kafka Streams counts.
func (m *bufModel) bytes() (n int64) {
	for _, e := range m.slots {
		n += 8 + int64(len(e.Key)+len(e.Prior)+len(e.Change.New)) + 8 + 8 + int64(len(e.Context.Topic)) + 4
		if !e.Change.HasOld || !e.HasPrior || e.Prior != e.Change.Old {
			n += int64(len(e.Change.Old))
		}
		for _, h := range e.Context.Headers {
			n += int64(len(h.Key) + len(h.Value))
		}
	}
	return n
}

func testBufferLife(t *testing.T, e statestore.Engine) {
	now := int64(0)
	life[bufStore, *bufModel]{
		spec:  statestore.Buffer("buffer", serde.String, serde.String),
		empty: func() *bufModel { return &bufModel{map[string]bufEntry{}} },
		clone: func(m *bufModel) *bufModel { return &bufModel{maps.Clone(m.slots)} },
		shown: func(t testing.TB, s bufStore) any {
			oldest, ok := s.OldestTime()
			return []any{s.Len(), s.Bytes(), oldest, ok}
		},
		want: func(m *bufModel) any {
			var oldest int64
			if order := m.inOrder(); len(order) > 0 {
				oldest = order[0].Time
			}
			return []any{len(m.slots), m.bytes(), oldest, len(m.slots) > 0}
		},
		step: func(t testing.TB, r *rand.Rand, s bufStore, m *bufModel) {
			now += r.Int64N(3)
			stepBuffer(t, r, s, m, now)
		},
	}.run(t, e)
}

func stepBuffer(t testing.TB, r *rand.Rand, s bufStore, m *bufModel, now int64) {
	t.Helper()
	key := randomKey(r)
	slot, known := m.slots[key]
	switch x := r.IntN(10); {
	case x < 6:
		c := statestore.Buffered[string]{HasOld: r.IntN(3) > 0, HasNew: r.IntN(4) > 0}
		if c.HasOld {
			c.Old = randomKey(r)
		}
		if c.HasNew {
			c.New = randomValue(r)
		}
		from, at := randomContext(r, now), max(0, now-r.Int64N(10))
		check(t, s.Put(at, key, c, &from))
		if !known {
			slot = bufEntry{Time: at, Key: key, Prior: c.Old, HasPrior: c.HasOld}
		}
		slot.Change, slot.Context = c, from
		m.slots[key] = slot
	case x < 8:
		prior, has, found, err := s.Prior(key)
		check(t, err)
		if prior != slot.Prior || has != slot.HasPrior || found != known {
			t.Fatalf("prior of %q: %q, %v, %v, want %q, %v, %v", key, prior, has, found, slot.Prior, slot.HasPrior, known)
		}
	default:
		for range r.IntN(5) {
			e, ok, err := s.Pop(now)
			check(t, err)
			order := m.inOrder()
			if ok != (len(order) > 0) {
				t.Fatalf("pop: %v of %d slots", ok, len(order))
			}
			if !ok {
				return
			}
			if !reflect.DeepEqual(e, order[0]) {
				t.Fatalf("pop: %.300v, want %.300v", e, order[0])
			}
			delete(m.slots, e.Key)
		}
	}
}

// testOrderAcrossRestart puts many slots and records, with few times between them, and takes them out after a restart.
func testOrderAcrossRestart(t *testing.T, e statestore.Engine) {
	r := seed(t)
	unmatched := statestore.Unmatched("unmatched", serde.String, serde.String, serde.Int64)
	up := partition(t, e, "unmatched", 0)
	u := openStore[unmatchedStore](t, unmatched, statestore.Backend{Partition: up})
	check(t, u.AddLeft("only", 1000, "v"))
	commit(t, e, u)
	u = openStore[unmatchedStore](t, unmatched, statestore.Backend{Partition: up})
	if have := entries(t, u.Oldest()); len(have) != 1 || have[0].Key != "only" {
		t.Errorf("the only record after a restart: %v", have)
	}
	gp := partition(t, e, "grace", 0)
	for i := range 3 { // arrival orders what has equal key and time
		g := openStore[graceStore](t, statestore.GraceBuffer("grace", serde.String, serde.String), statestore.Backend{Partition: gp})
		check(t, g.Add("k", fmt.Sprint(i), &statestore.RecordContext{Timestamp: 5}))
		commit(t, e, g)
		if i == 2 {
			var have []string
			for _, e := range popAll(t, g) {
				have = append(have, e.Value)
			}
			if !slices.Equal(have, []string{"0", "1", "2"}) {
				t.Errorf("popped %q, want the order of arrival", have)
			}
		}
	}
	spec := statestore.Buffer("buffer", serde.String, serde.String)
	p := partition(t, e, "buffer", 0)
	open := func() bufStore { return openStore[bufStore](t, spec, statestore.Backend{Partition: p}) }
	s, m := open(), &bufModel{map[string]bufEntry{}}
	for range 500 {
		key := randomKey(r) + randomKey(r)
		if _, known := m.slots[key]; known {
			continue
		}
		from := statestore.RecordContext{Topic: "t"}
		at := r.Int64N(60)
		check(t, s.Put(at, key, statestore.Buffered[string]{New: key, HasNew: true}, &from))
		m.slots[key] = bufEntry{Time: at, Key: key, Change: statestore.Buffered[string]{New: key, HasNew: true}, Context: from}
	}
	for i, want := range m.inOrder() {
		if i%100 == 50 {
			commit(t, e, s)
			s = open()
		}
		if have, ok, err := s.Pop(0); !ok || err != nil || !reflect.DeepEqual(have, want) {
			t.Fatalf("slot %d is %+v, %v, %v, want %+v", i, have, ok, err, want)
		}
	}
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("the empty buffer has %d slots of %d bytes", s.Len(), s.Bytes())
	}
}
