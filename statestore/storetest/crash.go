package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Medium is what an engine's data lies on, for RunCrash.
type Medium interface {
	// Open opens the engine on the medium.
	Open(t testing.TB) statestore.Engine
	// Crash returns the medium as it may be after a crash at this moment. What is open on the old one goes on there and is closed by the caller.
	Crash(r *rand.Rand) Medium
}

// RunCrash tests what engines that outlive their process promise: after a crash, the first n batches for some n, at least those that were flushed; after
// Close, all of them.
func RunCrash(t *testing.T, medium func() Medium) {
	t.Run("EngineKeepsEverythingOverClose", func(t *testing.T) { testReopen(t, medium()) })
	t.Run("EngineKeepsPrefixOverCrash", func(t *testing.T) {
		r := seed(t)
		for range 20 {
			testCrash(t, r, medium())
		}
	})
	t.Run("StoresKeepCheckpointAndContentTogether", func(t *testing.T) {
		r := seed(t)
		for range 10 {
			testStoreCrash(t, r, medium())
		}
	})
	for _, k := range crashKinds() {
		t.Run(k.name+"RestoresFromCheckpointAsFromZero", func(t *testing.T) {
			r := seed(t)
			for range 5 {
				testKindCrash(t, r, k, medium())
			}
		})
	}
}

func testReopen(t *testing.T, m Medium) {
	for round := range 3 {
		e := m.Open(t)
		p, q := partition(t, e, "s", 0), partition(t, e, fmt.Sprint("s", round), 0)
		w := newWriter(t, e)
		if v, _ := get(t, p, "round"); round > 0 && v != fmt.Sprint(round-1) {
			t.Errorf("opened again, the engine has round %q, want %d", v, round-1)
		}
		if got := scan(t, q, nil, nil, false); got != nil {
			t.Errorf("a new store begins with %q", got)
		}
		w.set(p, "round", fmt.Sprint(round))
		w.set(q, "k", "v")
		w.checkpoint(p, fmt.Sprint(round))
		w.commit()
		check(t, p.Close())
		check(t, q.Close())
		check(t, e.Close())
	}
	e := m.Open(t)
	defer e.Close()
	p := partition(t, e, "s", 0)
	if c, err := p.Checkpoint(); string(c) != "2" || err != nil {
		t.Errorf("checkpoint %q, %v, want 2", c, err)
	}
}

// crashParts is how many partitions the batches of the crash tests span.
const crashParts = 3

// testCrash commits random batches that each change all partitions, crashes at random moments, and compares with the states after each batch.
func testCrash(t *testing.T, r *rand.Rand, m Medium) {
	state := make([]*model, crashParts)
	for i := range state {
		state[i] = newModel()
	}
	for range 3 {
		e := m.Open(t)
		parts := openAll(t, e)
		w := newWriter(t, e)
		history := [][]*model{cloneAll(state)}
		flushed := 0
		for range r.IntN(60) {
			for i, p := range parts {
				for range 1 + r.IntN(20) {
					k, v := randomKey(r), randomValue(r)
					w.set(p, k, v)
					state[i].entries[k] = v
				}
				if r.IntN(5) == 0 {
					lo, hi := randomBound(r), randomBound(r)
					w.deleteRange(p, lo, hi)
					state[i].deleteRange(lo, hi)
				}
				c := fmt.Sprint(r.Uint64())
				w.checkpoint(p, c)
				state[i].checkpoint = &c
			}
			w.commit()
			history = append(history, cloneAll(state))
			if r.IntN(20) == 0 {
				check(t, e.Flush())
				flushed = len(history) - 1
			}
			if r.IntN(30) == 0 {
				i := r.IntN(crashParts)
				check(t, parts[i].Wipe())
				state[i] = newModel()
				history = append(history, cloneAll(state))
			}
		}
		after := m.Crash(r)
		closeAll(t, e, parts)
		m = after
		n := findState(t, m, history)
		if n < flushed {
			t.Fatalf("after the crash the first %d batches are there, %d were flushed", n, flushed)
		}
		state = cloneAll(history[n])
	}
}

func openAll(t testing.TB, e statestore.Engine) (parts []statestore.Partition) {
	for i := range crashParts {
		p, err := e.Partition("s", int32(i))
		check(t, err)
		parts = append(parts, p)
	}
	return parts
}

func closeAll(t testing.TB, e statestore.Engine, parts []statestore.Partition) {
	for _, p := range parts {
		check(t, p.Close())
	}
	check(t, e.Close())
}

func cloneAll(state []*model) (out []*model) {
	for _, m := range state {
		out = append(out, m.clone())
	}
	return out
}

// findState returns which of the states in history the medium holds, the latest if several are equal.
func findState(t testing.TB, m Medium, history [][]*model) int {
	t.Helper()
	e := m.Open(t)
	parts := openAll(t, e)
	defer closeAll(t, e, parts)
	for n := len(history) - 1; n >= 0; n-- {
		same := true
		for i, p := range parts {
			c, err := p.Checkpoint()
			check(t, err)
			want := history[n][i]
			same = same && (c == nil) == (want.checkpoint == nil) && (c == nil || string(c) == *want.checkpoint) &&
				reflect.DeepEqual(scan(t, p, nil, nil, false), want.scan(nil, nil, false))
		}
		if same {
			return n
		}
	}
	t.Fatalf("after the crash the medium holds none of the %d states that there were", len(history))
	return 0
}

// testStoreCrash runs a store that counts and keeps its changelog, crashes it and restores from the checkpoint: C1 and C5.
func testStoreCrash(t *testing.T, r *rand.Rand, m Medium) {
	spec := statestore.KeyValue("counts", serde.String, serde.Int64)
	var log []logged // the changelog; its length is the checkpoint
	for range 3 {
		e := m.Open(t)
		p, err := e.Partition("counts", 0)
		check(t, err)
		at := 0
		if c, err := p.Checkpoint(); c != nil {
			check(t, err)
			if _, err := fmt.Sscan(string(c), &at); err != nil || at > len(log) { // C4
				t.Fatalf("checkpoint %q of a changelog of %d records", c, len(log))
			}
		}
		restore(t, e, spec, p, log[at:])
		want := make(map[string]int64)
		for _, l := range log {
			want[l.Key] = int64(l.Value[7]) | int64(l.Value[6])<<8
		}
		s := openStore[counts](t, spec, statestore.Backend{Partition: p, CacheBytes: r.IntN(3000)})
		n := 0
		for entry, err := range s.All() {
			check(t, err)
			n++
			if want[entry.Key] != entry.Value {
				t.Fatalf("after the crash %q is %d, want %d", entry.Key, entry.Value, want[entry.Key])
			}
		}
		if n != len(want) {
			t.Fatalf("after the crash the store has %d keys, want %d", n, len(want))
		}
		b := e.NewBatch()
		for range r.IntN(40) {
			for range r.IntN(50) {
				count(t, s, fmt.Sprint(r.IntN(100)))
			}
			log = append(log, changelog(t, s)...)
			check(t, s.Stage(b))
			check(t, b.SetCheckpoint(p, fmt.Append(nil, len(log))))
			check(t, b.Commit())
			s.Committed()
			if r.IntN(15) == 0 {
				check(t, e.Flush())
			}
		}
		count(t, s, "never committed")
		after := m.Crash(r)
		check(t, b.Close())
		check(t, s.Close())
		check(t, p.Close())
		check(t, e.Close())
		m = after
	}
}
