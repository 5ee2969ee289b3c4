package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// spoil flips bits all over the files of a directory whose names have a part, and returns how many it spoilt.
func spoil(t *testing.T, dir, part string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(e.Name(), part) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range b {
			b[at] ^= 0x10
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestDamagedStateIsRestored spoils the files of a store while the application is down. It may end once, when it meets the damage; a start after that has all of its state
// again, tables and global tables, whoever restarts it: it never needs somebody to remove the directory (KAFKA-21034).
func TestDamagedStateIsRestored(t *testing.T) {
	for _, part := range []string{".sst", "MANIFEST-"} {
		t.Run(part, func(t *testing.T) {
			c := newCluster(t)
			c.createTopic(c.name+"-customers", 2)
			c.createTopic(c.name+"-orders", 1)
			const customers = 40
			var rows, orders [][2]string
			for i := range customers {
				rows = append(rows, [2]string{fmt.Sprintf("c%d", i), fmt.Sprintf("name%d", i)})
				orders = append(orders, [2]string{fmt.Sprintf("o%d", i), fmt.Sprintf("c%d", i)})
			}
			c.produceRows(c.name+"-customers", rows...)
			c.produceRows(c.name+"-orders", orders...)
			dir := t.TempDir()
			cfg := Config{Workers: 1, StateDir: dir, CommitInterval: 10 * time.Millisecond}
			g := newGlobalWorld(t, c.name)
			i := c.start(g.topo, cfg)
			i.await(t, "all orders", soon, func(p Progress) bool { return p.Done() && p.Processed == customers })
			i.end(t)
			if spoil(t, filepath.Join(dir, "store"), part) == 0 {
				t.Fatalf("the store has no file %s", part)
			}

			g = newGlobalWorld(t, c.name)
			i = c.start(g.topo, cfg)
			c.produceRows(c.name+"-orders", [2]string{"last", "c7"})
			ended := false
			await(t, "the last order, or an end", soon, func() bool {
				select {
				case <-i.done:
					ended = true
					return true
				default:
					return i.app.Progress().Done() && i.app.Progress().Processed == 1
				}
			})
			if ended {
				t.Logf("the application met the damage: %v", i.err)
				g = newGlobalWorld(t, c.name)
				i = c.start(g.topo, cfg)
				i.await(t, "the last order", soon, Progress.Done)
			}
			names, err := Query(i.app, g.names)
			if err != nil {
				t.Fatal(err)
			}
			joined, err := Query(i.app, g.joined)
			if err != nil {
				t.Fatal(err)
			}
			for n := range customers {
				want := fmt.Sprintf("name%d", n)
				if v, _, err := names.Get(fmt.Sprintf("c%d", n)); err != nil || v != want {
					t.Fatalf("customer %d is %q (%v), want %q", n, v, err, want)
				}
				want += fmt.Sprintf(" of %d", customers)
				if v, _, err := joined.Get(fmt.Sprintf("o%d", n)); err != nil || v != want {
					t.Fatalf("order %d found %q (%v), want %q", n, v, err, want)
				}
			}
			i.end(t)
		})
	}
}

// TestAKillBeforeTheFirstCommitLeavesNothing: what was written to a store whose task never committed is not believed, and holds no lock (KAFKA-9727).
func TestAKillBeforeTheFirstCommitLeavesNothing(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-in", 1)
	counts := statestore.KeyValue("counts", serde.String, serde.Int64)
	reached, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := stream.NewBuilder()
	in := stream.From(b, stream.NewTopic(c.name+"-in", serde.String, serde.String))
	stream.Process(in, func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		store := stream.Store(p, counts)
		return func(r *stream.Record[string, string]) error {
			n, _, err := store.Get(r.Key)
			if err != nil {
				return err
			}
			if r.Value == "last" {
				once.Do(func() { close(reached) })
				<-gate
			}
			return store.Put(r.Key, n+1, r.Timestamp)
		}
	}, counts)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.produceRows(c.name+"-in", [2]string{"a", ""}, [2]string{"b", ""}, [2]string{"a", "last"})
	cfg := Config{Workers: 1, StateDir: t.TempDir(), CommitInterval: 4 * time.Minute, TransactionTimeout: 10 * time.Minute, SessionTimeout: 6 * time.Second}
	i := c.start(topo, cfg)
	select {
	case <-reached: // two records are in the store, and nothing is committed
	case <-time.After(soon):
		t.Fatal("the last record does not come")
	}
	i.kill.now() // nothing can be committed any more
	close(gate)
	i.crash()

	cfg.CommitInterval = 20 * time.Millisecond
	i = c.start(topo, cfg)
	i.await(t, "the end of the input", soon, func(p Progress) bool { return p.Done() && p.Processed == 3 })
	equalCounts(t, storeCounts(t, counts, i.app), map[string]int64{"a": 2, "b": 1})
	i.end(t)
}
