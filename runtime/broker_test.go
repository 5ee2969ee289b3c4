package runtime

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

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

// A worker that ends while it joins learns its name in the group only then, and leaves all the same: nobody waits for its session.
func TestAWorkerThatEndsWhileItJoinsLeavesTheGroup(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "200"}}) // how long it joins
	client := b.Client(t)
	c := &cluster{t: t, brokers: []string{b.Addr}, dial: b.Net.Dial, client: client, admin: kadm.NewClient(client), broker: b, name: "joins"}
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 1)
	group := func(app string) kadm.DescribedGroup {
		groups, err := c.admin.DescribeGroups(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		return groups[app]
	}
	for try := range 20 {
		app := fmt.Sprintf("%s-%d", c.name, try)
		i := c.start(w.topo, Config{AppID: app, Workers: 1, StateDir: t.TempDir()})
		await(t, "a member", soon, func() bool { return len(group(app).Members) > 0 })
		begun := time.Now()
		i.end(t)
		if time.Since(begun) >= leaveTimeout { // a machine that is too busy for good-byes
			continue
		}
		if g := group(app); len(g.Members) > 0 {
			t.Errorf("the group is %s and has %d members", g.State, len(g.Members))
		}
		return
	}
	t.Skip("no end took less than the time-out of a good-bye")
}
