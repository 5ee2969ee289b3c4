package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A killed app that starts again goes on where it was: nothing twice, nothing lost, and no count ever goes back (S1-S4 of exactly-once).
func TestExactlyOnceSurvivesRandomKills(t *testing.T) {
	c := newCluster(t)
	rng := seeded(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 3)
	c.createTopic(w.counts.Name(), 2)
	dir := t.TempDir()
	want := map[string]int64{}
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	cfg := Config{StateDir: dir, CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second}
	for range rounds {
		lines, counts := text(rng, 3000, 200)
		add(want, counts)
		c.produce(w.lines.Name(), 3, lines)
		i := c.start(w.topo, cfg)
		enough := int64(rng.IntN(12))
		i.await(t, "some commits", soon, func(p Progress) bool { return p.Commits >= enough || p.Done() })
		i.crash()
		if rng.IntN(3) == 0 { // the disk is lost too, but not the identity
			if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
				t.Fatal(err)
			}
		}
	}
	i := c.start(w.topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	equalCounts(t, storeCounts(t, w.store, i.app), want)
	i.end(t)
	equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
}

// With another identity after each kill, the open transaction belongs to an id that no process has any more: it is found in the group or the offsets, and fenced.
func TestSuccessorFencesTheOpenTransactionOfTheDead(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 1)
	lines, want := text(seeded(t), 4000, 100)
	c.produce(w.lines.Name(), 2, lines)
	cfg := Config{CommitInterval: 10 * time.Millisecond, SessionTimeout: 6 * time.Second, TransactionTimeout: 10 * time.Minute, Workers: 1}
	first := c.start(w.topo, cfg)
	first.await(t, "two commits", soon, func(p Progress) bool { return p.Commits >= 2 })
	first.crash()
	second := c.start(w.topo, cfg)
	// The transaction's time-out is far beyond this wait: only fencing lets the successor pass.
	second.await(t, "the end of the input", soon, Progress.Done)
	equalCounts(t, storeCounts(t, w.store, second.app), want)
	second.end(t)
	equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
}

func TestAtLeastOnceLosesNothingInKills(t *testing.T) {
	c := newCluster(t)
	rng := seeded(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 2)
	cfg := Config{Guarantee: AtLeastOnce, StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second}
	want := map[string]int64{}
	for range 3 {
		lines, counts := text(rng, 2000, 100)
		add(want, counts)
		c.produce(w.lines.Name(), 2, lines)
		i := c.start(w.topo, cfg)
		enough := int64(rng.IntN(10))
		i.await(t, "some commits", soon, func(p Progress) bool { return p.Commits >= enough || p.Done() })
		i.crash()
	}
	i := c.start(w.topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	got := storeCounts(t, w.store, i.app)
	for word, n := range want {
		if got[word] < n {
			t.Errorf("%s: counted %d times, it was there %d times", word, got[word], n)
		}
	}
	i.end(t)
}

// A restart with the store at hand reads the changelog's tail, one without it reads all of it, and both come to the same.
func TestRestoreReadsOnlyTheTail(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	dir := t.TempDir()
	cfg := Config{StateDir: dir, Workers: 1}
	lines, want := text(seeded(t), 3000, 500)
	c.produce(w.lines.Name(), 1, lines)
	i := c.start(w.topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	i.end(t)

	restored := func(p Progress) (n int64) {
		for _, task := range p.Tasks {
			n += task.Restored
		}
		return n
	}
	i = c.start(w.topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	if n := restored(i.app.Progress()); n != 0 {
		t.Errorf("%d changelog records read though the store has all", n)
	}
	equalCounts(t, storeCounts(t, w.store, i.app), want)
	i.end(t)

	if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	i = c.start(w.topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	if n := restored(i.app.Progress()); n < int64(len(want)) {
		t.Errorf("%d changelog records read for %d words though the store was lost", n, len(want))
	}
	equalCounts(t, storeCounts(t, w.store, i.app), want)
	i.end(t)
}

// Instances come and go, cleanly and by kill, while the input flows.
func TestRebalancesKeepCountsExact(t *testing.T) {
	c := newCluster(t)
	rng := seeded(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 4)
	c.createTopic(w.counts.Name(), 2)
	want := map[string]int64{}
	produce := func() {
		lines, counts := text(rng, 2000, 200)
		add(want, counts)
		c.produce(w.lines.Name(), 4, lines)
	}
	cfg := func() Config {
		return Config{StateDir: t.TempDir(), Workers: 1, CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second}
	}
	balanced := func(all ...*instance) {
		t.Helper()
		await(t, "a balanced group", soon, func() bool {
			n := 0
			for _, i := range all {
				p := i.app.Progress()
				if p.State != Running || len(p.Tasks) < 8/len(all) {
					return false
				}
				n += len(p.Tasks)
			}
			return n == 8
		})
	}
	produce()
	a := c.start(w.topo, cfg())
	balanced(a)
	produce()
	b := c.start(w.topo, cfg())
	produce()
	balanced(a, b)
	d, e := c.start(w.topo, cfg()), c.start(w.topo, cfg())
	produce()
	balanced(a, b, d, e)
	produce()
	a.end(t)
	produce()
	d.crash()
	produce()
	balanced(b, e)
	await(t, "the end of the input", soon, func() bool { return c.lag() == 0 })
	equalCounts(t, storeCounts(t, w.store, b.app, e.app), want)
	b.end(t)
	e.end(t)
	equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
}

// lag is how many offsets the application's group is behind; with the ends asked for after the commits, 0 means done.
func (c *cluster) lag() int64 {
	committed, err := c.admin.FetchOffsets(c.t.Context(), c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	topics := []string{c.name + "-lines", c.name + "-words-repartition"}
	ends, err := c.admin.ListEndOffsets(c.t.Context(), topics...)
	if err != nil {
		c.t.Fatal(err)
	}
	lag := int64(0)
	for topic, parts := range ends {
		for p, end := range parts {
			at, _ := committed.Lookup(topic, p)
			lag += end.Offset - max(0, at.At)
		}
	}
	return lag
}

func TestOtherTopologyOfTheSameApplicationIsRefused(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	first := c.start(w.topo, Config{Workers: 1})
	first.await(t, "running", soon, func(p Progress) bool { return p.State == Running && len(p.Tasks) == 2 })
	other := c.start(newUpperCase(t, c.name), Config{Workers: 1})
	<-other.done
	if other.err == nil || !strings.Contains(other.err.Error(), "another topology") {
		t.Errorf("Run: %v; want that the group runs another topology", other.err)
	}
	if s := other.app.State(); s != Failed {
		t.Errorf("state %v, want %v", s, Failed)
	}
	first.await(t, "running still", soon, func(p Progress) bool { return p.State == Running && len(p.Tasks) == 2 })
	first.end(t)
}
