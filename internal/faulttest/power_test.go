package faulttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/internal/memnet"
)

// moment is what a power loss would have left, and what had been promised by then.
type moment struct {
	call int
	left *vfs.MemFS
	had  *promises
}

// moments takes copies of a disk at the calls that make something durable or take a name away.
type moments struct {
	mu   sync.Mutex
	mem  *vfs.MemFS
	of   *script // set before the first call
	rng  *rand.Rand
	nth  int
	n    int
	kept []moment
}

func (m *moments) String() string { return "keeps moments" }

func (m *moments) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpRename, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpCreate:
	default:
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n++; m.n%m.nth != 0 {
		return nil
	}
	had := m.of.kept.Load() // before the copy: what is acknowledged while it is made may be in it or not
	left := m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * m.rng.IntN(3), RNG: m.rng})
	m.kept = append(m.kept, moment{m.n, left, had})
	return nil
}

// TestAPowerLossAtAnyFlushKeepsEveryPromise is the same script on a disk that works, with a copy of it, with none, half or all of what was not flushed, at every third call
// that makes something durable. A server that starts on any of them has everything that was acknowledged before (L1, L2, G3, T1, T2, T6).
func TestAPowerLossAtAnyFlushKeepsEveryPromise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	mem, net := vfs.NewCrashableMem(), new(memnet.Network)
	c := &client{net: net, addr: address}
	s := newScript(c)
	m := &moments{mem: mem, of: s, rng: rand.New(rand.NewPCG(seed, 0)), nth: 3}
	n := &news{settled: make(chan struct{})}
	fs := errorfs.Wrap(mem, m)
	first := func() {
		s.first()
		if err := n.wait(); err != nil {
			t.Error(err)
		}
	}
	for life, steps := range []func(){first, s.second} {
		srv, err := start(net, fs, n)
		if err != nil {
			t.Fatal(err)
		}
		steps()
		c.close()
		if life == 0 {
			srv.stop()
		} else {
			srv.kill()
		}
	}
	if s.bad != nil || len(s.txns) != 3 || s.txns[2].end != committed || len(s.acked[compacted]) != 5 {
		t.Fatalf("the script was not played to its end: %v, %+v", s.bad, s.promises)
	}
	if len(m.kept) < 60 {
		t.Fatalf("%d moments only", len(m.kept))
	}
	left := make(chan moment)
	var wg sync.WaitGroup
	for range players {
		wg.Go(func() {
			for at := range left {
				if err := at.check(s); err != nil {
					t.Errorf("power loss at call %d: %v", at.call, err)
				}
			}
		})
	}
	for _, at := range m.kept {
		left <- at
	}
	close(left)
	wg.Wait()
}

// check starts a server on what is left, on behalf of the script.
func (at moment) check(of *script) error {
	net := new(memnet.Network)
	c := &client{net: net, addr: address}
	// The script has come to its end: what it tried then bounds what may be there.
	s := &script{client: c, promises: *at.had.clone(), step: of.step, sent: map[string][]string{}, below: of.below, highest: of.highest}
	for topic, sent := range of.sent {
		s.sent[topic] = append([]string(nil), sent...)
	}
	srv, err := start(net, at.left, &news{settled: make(chan struct{})})
	if err != nil {
		return fmt.Errorf("the start: %w", err)
	}
	defer srv.kill()
	defer c.close()
	return errors.Join(s.audit(), s.works(), s.audit(), s.bad)
}
