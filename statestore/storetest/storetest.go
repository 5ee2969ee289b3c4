package storetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
)

// Run tests the engine that open makes. Each call of open returns a new, empty engine; Run closes it.
func Run(t *testing.T, open func(t testing.TB) statestore.Engine) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, statestore.Engine)
	}{
		{"EngineReadsWhatItCommitted", testReadsWhatItCommitted},
		{"EngineTellsEmptyFromAbsent", testEmptyFromAbsent},
		{"EngineKeepsPartitionsApart", testPartitionsApart},
		{"EngineScansInBoundsBothWays", testScanBounds},
		{"EngineDeletesRanges", testDeleteRange},
		{"EngineAppliesBatchInOrder", testBatchOrder},
		{"EngineAppliesNothingBeforeCommit", testNothingBeforeCommit},
		{"EngineScanSeesOneState", testScanIsSnapshot},
		{"EngineWipesPartition", testWipe},
		{"EnginePartitionOpensOnce", testOpensOnce},
		{"EngineCloseIsIdempotent", testCloseIdempotent},
		{"EngineBatchesAreIndependent", testIndependentBatches},
		{"EngineRefusesForeignPartition", testForeignPartition},
		{"EngineEqualsModel", testEngineEqualsModel},
		{"EngineReadersSeeWholeBatches", testReadersSeeWholeBatches},
		{"KeyValueEqualsModel", testKeyValueEqualsModel},
		{"KeyValueStagesUntilCommitted", testKeyValueStages},
		{"KeyValueForwardsOncePerFlush", testKeyValueFlush},
		{"KeyValueWalksWhileItChanges", testKeyValueWalk},
		{"KeyValueRestoresFromChangelog", testKeyValueRestore},
		{"WindowEqualsModel", testWindowEqualsModel},
		{"WindowForgetsBeyondRetention", testWindowRetention},
		{"WindowKeepsKeysApart", testWindowKeysApart},
		{"WindowForwardsOncePerFlush", testWindowFlush},
		{"WindowThatComesAndGoesMovesNoTime", testWindowTimeStays},
		{"WindowRestoresFromChangelog", testWindowRestore},
		{"RowsThatComeAndGoAreNotWritten", testNothingWritten},
		{"HeldBackIsBounded", testHoldBytes},
		{"KeyValueExpires", testKeyValueExpires},
		{"KeyValueScansPrefixes", testKeyValuePrefix},
		{"SessionEqualsModel", testSessionLife},
		{"SessionMergesAtTheEdges", testSessionEdges},
		{"JoinWindowEqualsModel", testJoinWindowLife},
		{"UnmatchedEqualsModel", testUnmatchedLife},
		{"GraceBufferEqualsModel", testGraceLife},
		{"BufferEqualsModel", testBufferLife},
		{"BuffersKeepOrderOverRestart", testOrderAcrossRestart},
		{"VersionedEqualsModel", testVersionedLife},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Errorf("close the engine: %v", err)
				}
			})
			test.run(t, e)
		})
	}
}

// seed returns the seed of a random test and prints it when the test fails.
func seed(t testing.TB) *rand.Rand {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("STORETEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("STORETEST_SEED: %v", err)
		}
		s = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run again with STORETEST_SEED=%d", s)
		}
	})
	return rand.New(rand.NewPCG(s, 0))
}

// entry is one entry of an engine, in memory of its own.
type entry struct{ Key, Value string }

// mangle overwrites a slice that nobody may rely on any more.
func mangle(b []byte) {
	for i := range b {
		b[i] ^= 0x5a
	}
}

func partition(t testing.TB, e statestore.Engine, store string, n int32) statestore.Partition {
	t.Helper()
	p, err := e.Partition(store, n)
	check(t, err)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close a partition: %v", err)
		}
	})
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writer is a batch that mangles what it was given.
type writer struct {
	t testing.TB
	b statestore.Batch
}

func newWriter(t testing.TB, e statestore.Engine) writer {
	b := e.NewBatch()
	t.Cleanup(func() { b.Close() })
	return writer{t, b}
}

func (w writer) set(p statestore.Partition, key, value string) {
	w.t.Helper()
	k, v := []byte(key), []byte(value)
	check(w.t, w.b.Set(p, k, v))
	mangle(k)
	mangle(v)
}

func (w writer) delete(p statestore.Partition, key string) {
	w.t.Helper()
	k := []byte(key)
	check(w.t, w.b.Delete(p, k))
	mangle(k)
}

// deleteRange takes nil for an open bound.
func (w writer) deleteRange(p statestore.Partition, lo, hi *string) {
	w.t.Helper()
	l, h := bound(lo), bound(hi)
	check(w.t, w.b.DeleteRange(p, l, h))
	mangle(l)
	mangle(h)
}

func (w writer) checkpoint(p statestore.Partition, c string) {
	w.t.Helper()
	b := []byte(c)
	check(w.t, w.b.SetCheckpoint(p, b))
	mangle(b)
}

func (w writer) commit() {
	w.t.Helper()
	check(w.t, w.b.Commit())
}

func bound(s *string) []byte {
	if s == nil {
		return nil
	}
	return append(make([]byte, 0, len(*s)), *s...)
}

func at(s string) *string { return &s }

// get returns a value, and "absent" in found.
func get(t testing.TB, p statestore.Partition, key string) (value string, found bool) {
	t.Helper()
	k := []byte(key)
	const prefix = "kept"
	v, found, err := p.Get([]byte(prefix), k)
	check(t, err)
	mangle(k)
	if string(v[:len(prefix)]) != prefix {
		t.Fatalf("Get of %q changed what stood in dst: %q", key, v)
	}
	if !found && len(v) != len(prefix) {
		t.Fatalf("Get of %q found nothing and appended %q", key, v[len(prefix):])
	}
	value = string(v[len(prefix):])
	mangle(v)
	return value, found
}

// scan collects a walk.
func scan(t testing.TB, p statestore.Partition, lo, hi *string, reverse bool) []entry {
	t.Helper()
	l, h := bound(lo), bound(hi)
	it, err := p.Scan(l, h, reverse)
	check(t, err)
	mangle(l)
	mangle(h)
	return collect(t, it)
}

func collect(t testing.TB, it statestore.Iterator) (entries []entry) {
	t.Helper()
	for it.Next() {
		entries = append(entries, entry{string(it.Key()), string(it.Value())})
	}
	if it.Next() {
		t.Error("Next after the end found something")
	}
	check(t, it.Close())
	check(t, it.Close())
	return entries
}
