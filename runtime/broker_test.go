package runtime

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// startBroker starts a broker in this process.
func startBroker(t *testing.T) (*brokertest.Broker, []string, func(ctx context.Context, network, address string) (net.Conn, error)) {
	b := brokertest.Start(t, broker.Config{})
	return b, []string{b.Addr}, b.Net.Dial
}

// The broker dies and comes back, cleanly and by kill, while an app works: the app waits and goes on, and nothing is lost or counted twice.
func TestAppOutlivesItsBroker(t *testing.T) {
	c := newCluster(t)
	if c.broker == nil {
		t.Skip("a cluster given by -brokers is not restarted")
	}
	rng := seeded(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 2)
	want := map[string]int64{}
	i := c.start(w.topo, Config{StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond})
	for round := range 6 {
		lines, counts := text(rng, 2000, 200)
		add(want, counts)
		c.produce(w.lines.Name(), 2, lines)
		seen := i.app.Progress().Commits
		enough := int64(rng.IntN(10))
		i.await(t, "some commits", soon, func(p Progress) bool { return p.Commits >= seen+enough || p.Done() })
		if round%2 == 0 {
			c.broker.Kill()
		} else {
			c.broker.Restart()
		}
	}
	lines, counts := text(rng, 500, 200)
	add(want, counts)
	c.produce(w.lines.Name(), 2, lines)
	total := int64(0)
	for _, n := range want {
		total += n
	}
	i.await(t, "every word", soon, func(p Progress) bool {
		words := int64(0)
		for _, task := range p.Tasks {
			if task.ID.Subtopology == 1 {
				words += task.Processed
			}
		}
		return words >= total && p.Done()
	})
	equalCounts(t, storeCounts(t, w.store, i.app), want)
	i.end(t)
	equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
}
