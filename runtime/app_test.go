package runtime

import (
	"testing"
	"time"
)

const soon = 25 * time.Second // generous: a loaded machine, not a slow program, is what it allows for

func TestWordCountCountsEveryWordOnce(t *testing.T) {
	for _, g := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(g.String(), func(t *testing.T) {
			c := newCluster(t)
			w := newWordCount(t, c.name)
			c.createTopic(w.lines.Name(), 4)
			c.createTopic(w.counts.Name(), 2)
			lines, want := text(seeded(t), 5000, 300)
			c.produce(w.lines.Name(), 4, lines)
			i := c.start(w.topo, Config{Guarantee: g, StateDir: t.TempDir()})
			i.await(t, "the end of the input", soon, Progress.Done)
			equalCounts(t, storeCounts(t, w.store, i.app), want)
			i.end(t)
			if s := i.app.State(); s != NotRunning {
				t.Errorf("state %v after Run, want %v", s, NotRunning)
			}
			equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
		})
	}
}
