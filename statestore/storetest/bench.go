package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Bench measures the typed stores on the engine that open makes.
func Bench(b *testing.B, open func(testing.TB) statestore.Engine) {
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("count/keys=%d", keys), func(b *testing.B) { benchCount(b, open(b), keys) })
	}
	b.Run("count-write-back/keys=100000", func(b *testing.B) { benchCountWriteBack(b, open(b), 100_000) })
	b.Run("commit/keys=100000", func(b *testing.B) { benchCommit(b, open(b), 100_000) })
	b.Run("miss/keys=100000", func(b *testing.B) { benchMiss(b, open(b), 100_000) })
	b.Run("scan/keys=100000", func(b *testing.B) { benchScan(b, open(b), 100_000) })
	b.Run("restore/keys=100000", func(b *testing.B) { benchRestore(b, open(b), 100_000) })
	b.Run("window-count/keys=100000", func(b *testing.B) { benchWindowCount(b, open(b), 100_000) })
	b.Run("window-join/keys=50000", func(b *testing.B) { benchWindowJoin(b, open(b), 50_000) })
	b.Run("join-window/keys=50000", func(b *testing.B) { benchJoinWindow(b, open(b), 50_000) })
	b.Run("session/keys=50000", func(b *testing.B) { benchSession(b, open(b), 50_000) })
	b.Run("versioned/keys=50000", func(b *testing.B) { benchVersioned(b, open(b), 50_000) })
	b.Run("buffer/keys=50000", func(b *testing.B) { benchBuffer(b, open(b), 50_000) })
}

type counts = statestore.KeyValueStore[string, int64]

// benchKeys returns keys in an order that no cache line likes.
func benchKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("word-%08d", uint32(i)*2654435761%uint32(n*7))
	}
	return keys
}

func openCounts(b *testing.B, e statestore.Engine, writeBack bool) counts {
	p := partition(b, e, "counts", 0)
	spec := statestore.KeyValue("counts", serde.String, serde.Int64)
	b.Cleanup(func() { e.Close() })
	return openStore[counts](b, spec, statestore.Backend{Partition: p, CacheBytes: 256 << 20, WriteBack: writeBack})
}

func count(b testing.TB, s counts, key string) {
	n, _, err := s.Get(key)
	if err == nil {
		err = s.Put(key, n+1, 1)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func benchCount(b *testing.B, e statestore.Engine, n int) {
	s, keys := openCounts(b, e, false), benchKeys(n)
	for _, k := range keys {
		count(b, s, k)
	}
	commit(b, e, s)
	for _, k := range keys {
		count(b, s, k)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		count(b, s, keys[i%n])
	}
}

func benchCountWriteBack(b *testing.B, e statestore.Engine, n int) {
	s, keys := openCounts(b, e, true), benchKeys(n)
	sum := int64(0)
	s.OnFlush(true, func(u *statestore.Update[string, int64]) error { sum += u.New - u.Old; return nil })
	for _, k := range keys {
		count(b, s, k)
	}
	commit(b, e, s)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		count(b, s, keys[i%n])
		if i%n == n-1 {
			check(b, s.Flush())
		}
	}
}

// benchCommit changes all keys and commits them; a unit is a key.
func benchCommit(b *testing.B, e statestore.Engine, n int) {
	s, keys := openCounts(b, e, false), benchKeys(n)
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += n {
		for _, k := range keys {
			count(b, s, k)
		}
		benchCommitStore(b, s, batch)
	}
}

// benchCommitStore is a commit whose changelog goes nowhere.
func benchCommitStore(b *testing.B, s statestore.Store, batch statestore.Batch) {
	check(b, s.Changelog(func([]byte, []byte, int64) error { return nil }))
	check(b, s.Stage(batch))
	check(b, batch.Commit())
	s.Committed()
}

func benchMiss(b *testing.B, e statestore.Engine, n int) {
	s, keys := openCounts(b, e, false), benchKeys(n)
	for _, k := range keys {
		count(b, s, k)
	}
	commit(b, e, s)
	s.Discard()
	check(b, e.Flush())
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%n == 0 {
			s.Discard()
		}
		if _, found, err := s.Get(keys[i%n]); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}

// benchScan walks over all entries, half of them staged; a unit is an entry.
func benchScan(b *testing.B, e statestore.Engine, n int) {
	s, keys := openCounts(b, e, false), benchKeys(n)
	for _, k := range keys {
		count(b, s, k)
	}
	commit(b, e, s)
	for _, k := range keys[:n/2] {
		count(b, s, k)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		for _, err := range s.All() {
			check(b, err)
			i++
		}
	}
}

// benchRestore plays a changelog of n keys; a unit is a record.
func benchRestore(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	spec := statestore.KeyValue("counts", serde.String, serde.Int64)
	p := partition(b, e, "counts", 0)
	keys := benchKeys(n)
	value := make([]byte, 8)
	batch := e.NewBatch()
	defer batch.Close()
	r, err := spec.Restore(p)
	check(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		check(b, r.Add(batch, []byte(keys[i%n]), value, int64(i)))
		if batch.Size() >= 16<<20 || i == b.N-1 {
			check(b, r.Seal(batch))
			check(b, batch.Commit())
		}
	}
}

type windowCounts = statestore.WindowStore[string, int64]

func openWindowCounts(b *testing.B, e statestore.Engine, store string) windowCounts {
	spec := statestore.Window(store, serde.String, serde.Int64).Retain(time.Hour)
	return openStore[windowCounts](b, spec, statestore.Backend{Partition: partition(b, e, store, 0), CacheBytes: 256 << 20})
}

// benchWindowCount counts in windows of 10 s; stream time moves 1 ms a record.
func benchWindowCount(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	s, keys := openWindowCounts(b, e, "w"), benchKeys(n)
	const size = 10_000
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		key, start := keys[i*31%n], int64(i)/size*size
		v, _, err := s.Fetch(key, start)
		check(b, err)
		_, err = s.Put(key, start, v+1, int64(i))
		check(b, err)
		if i%100_000 == 99_999 {
			benchCommitStore(b, s, batch)
		}
	}
}

// benchWindowJoin puts a record on one side and fetches what is around it on the other, as a join does.
func benchWindowJoin(b *testing.B, e statestore.Engine, n int) {
	b.Cleanup(func() { e.Close() })
	sides := [2]windowCounts{openWindowCounts(b, e, "l"), openWindowCounts(b, e, "r")}
	keys := benchKeys(n)
	found := 0
	batch := e.NewBatch()
	defer batch.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		ts, key := int64(i/2), keys[i/2*31%n]
		_, err := sides[i%2].Put(key, ts, 1, ts)
		check(b, err)
		for _, err := range sides[1-i%2].FetchRange(key, ts-5000, ts+5001) {
			check(b, err)
			found++
		}
		if i%100_000 == 99_999 {
			benchCommitStore(b, sides[0], batch)
			benchCommitStore(b, sides[1], batch)
		}
	}
}
