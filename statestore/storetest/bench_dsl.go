package storetest

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// benchOpen opens a store as a task would, with room for what the benchmark holds.
func benchOpen[S any](b *testing.B, e statestore.Engine, spec statestore.Spec) S {
	return openStore[S](b, spec, statestore.Backend{Partition: partition(b, e, spec.StoreName(), 0), CacheBytes: 256 << 20})
}

// benchJoinWindow puts a record on one side and fetches what is around it on the other; every hundredth waits for a partner in the shared store and leaves when
// its time has come. A unit is a record.
func benchJoinWindow(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	type side = statestore.JoinWindowStore[string, int64]
	var sides [2]side
	for i, name := range []string{"l", "r"} {
		sides[i] = benchOpen[side](b, e, statestore.JoinWindow(name, serde.String, serde.Int64).Retain(time.Minute))
	}
	shared := benchOpen[statestore.UnmatchedStore[string, int64, int64]](b, e, statestore.Unmatched("u", serde.String, serde.Int64, serde.Int64))
	keys := benchKeys(n)
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		ts, key := int64(i/2), keys[i/2*31%n]
		_, err := sides[i%2].Put(key, ts, 1)
		check(b, err)
		for _, err := range sides[1-i%2].Fetch(key, ts-5000, ts+5000) {
			check(b, err)
		}
		if i%100 == 0 {
			check(b, shared.AddLeft(key, ts, 1))
		}
		if oldest, ok := shared.OldestTime(); ok && oldest < ts-5000 {
			for u, err := range shared.Oldest() {
				check(b, err)
				if u.Timestamp >= ts-5000 {
					break
				}
				_, err := shared.Delete(u.Side, u.Key, u.Timestamp, ts)
				check(b, err)
			}
		}
		if i%100_000 == 99_999 {
			for _, s := range []statestore.Store{sides[0], sides[1], shared} {
				benchCommitStore(b, s, batch)
			}
		}
	}
}

// benchSession extends the sessions of n keys: find, remove, put.
func benchSession(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	s := benchOpen[statestore.SessionStore[string, int64]](b, e, statestore.Session("s", serde.String, serde.Int64).Retain(time.Hour))
	keys := benchKeys(n)
	gap := int64(2 * n) // each key comes again within it
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		ts, key := int64(i), keys[i*31%n]
		start, sum := ts, int64(1)
		for o, err := range s.FindSessions(key, ts-gap, ts+gap) {
			check(b, err)
			start, sum = min(start, o.Start), sum+o.Value
			_, err = s.Remove(key, o.Start, o.End, ts)
			check(b, err)
		}
		_, err := s.Put(key, start, ts, sum, ts)
		check(b, err)
		if i%100_000 == 99_999 {
			benchCommitStore(b, s, batch)
		}
	}
}

// benchVersioned puts a new version of a key and reads the one of a second ago.
func benchVersioned(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	s := benchOpen[statestore.VersionedStore[string, int64]](b, e, statestore.Versioned("v", serde.String, serde.Int64, time.Minute))
	keys := benchKeys(n)
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		key := keys[i*31%n]
		_, err := s.Put(key, int64(i), int64(i))
		check(b, err)
		_, _, _, err = s.GetAsOf(key, int64(i)-1000)
		check(b, err)
		if i%100_000 == 99_999 {
			benchCommitStore(b, s, batch)
		}
	}
}

// benchBuffer updates slots of n keys and lets the oldest go.
func benchBuffer(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	s := benchOpen[statestore.BufferStore[string, int64]](b, e, statestore.Buffer("b", serde.String, serde.Int64))
	keys := benchKeys(n)
	from := statestore.RecordContext{Topic: "topic"}
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		from.Timestamp, from.Offset = int64(i), int64(i)
		check(b, s.Put(int64(i), keys[i*31%n], statestore.Buffered[int64]{New: int64(i), HasNew: true}, &from))
		for s.Len() > n/2 {
			_, _, err := s.Pop(int64(i))
			check(b, err)
		}
		if i%100_000 == 99_999 {
			benchCommitStore(b, s, batch)
		}
	}
}
