package runtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// produceRows writes records of a key and a value.
func (c *cluster) produceRows(topic string, rows ...[2]string) {
	c.t.Helper()
	var records []*kgo.Record
	for _, r := range rows {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(r[0]), Value: []byte(r[1])})
	}
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// globalWorld is a stream of orders that looks up names in a global table and keeps what it found.
type globalWorld struct {
	names  *statestore.KeyValueSpec[string, string]
	joined *statestore.KeyValueSpec[string, string]
	topo   *stream.Topology
}

func newGlobalWorld(t *testing.T, name string) *globalWorld {
	t.Helper()
	g := &globalWorld{names: statestore.KeyValue("names", serde.String, serde.String), joined: statestore.KeyValue("joined", serde.String, serde.String)}
	b := stream.NewBuilder()
	customers := ktable.FromGlobal(b, stream.NewTopic(name+"-customers", serde.String, serde.String), g.names)
	orders := stream.From(b, stream.NewTopic(name+"-orders", serde.String, serde.String))
	named := ktable.JoinGlobal(orders, customers, func(_, customer string) string { return customer }, func(_, name string) string { return name })
	stream.Process(named, func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		joined, names := stream.Store(p, g.joined), stream.ReadGlobal(p, g.names)
		return func(r *stream.Record[string, string]) error {
			n := 0
			for _, err := range names.All() {
				if err != nil {
					return err
				}
				n++
			}
			return joined.Put(r.Key, fmt.Sprintf("%s of %d", r.Value, n), r.Timestamp)
		}
	}, g.joined)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	g.topo = topo
	return g
}

func TestGlobalTableIsCompleteBeforeTheFirstRecord(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-customers", 3)
	c.createTopic(c.name+"-orders", 1)
	g := newGlobalWorld(t, c.name)
	const customers = 60
	var rows, orders [][2]string
	for i := range customers {
		rows = append(rows, [2]string{fmt.Sprintf("c%d", i), fmt.Sprintf("name%d", i)})
		orders = append(orders, [2]string{fmt.Sprintf("o%d", i), fmt.Sprintf("c%d", i)})
	}
	c.produceRows(c.name+"-customers", rows...)
	c.produceRows(c.name+"-orders", orders...)
	cfg := Config{Workers: 1, StateDir: t.TempDir(), CommitInterval: 10 * time.Millisecond}
	i := c.start(g.topo, cfg)
	i.await(t, "all orders", time.Minute, func(p Progress) bool { return p.Done() && p.Processed == customers })
	view, err := Query(i.app, g.joined)
	if err != nil {
		t.Fatal(err)
	}
	for n := range customers {
		want := fmt.Sprintf("name%d of %d", n, customers)
		if v, _, err := view.Get(fmt.Sprintf("o%d", n)); err != nil || v != want {
			t.Fatalf("order %d found %q (%v), want %q", n, v, err, want)
		}
	}

	// It follows its topic, and queries see it.
	c.produceRows(c.name+"-customers", [2]string{"c7", "other"}, [2]string{"new", "newcomer"})
	names, err := Query(i.app, g.names)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a new row", time.Minute, func() bool {
		a, _, err := names.Get("c7")
		b, _, err2 := names.Get("new")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return a == "other" && b == "newcomer"
	})
	i.end(t)

	// What is on disk is not read again.
	i = c.start(newGlobalWorld(t, c.name).topo, cfg)
	i.await(t, "the second start", time.Minute, func(p Progress) bool { return p.State == Running })
	if p := i.app.Progress(); len(p.Globals) != 1 || p.Globals[0].Applied != 0 {
		t.Errorf("the second start read %+v, want nothing", p.Globals)
	}
	if names, err = Query(i.app, g.names); err != nil {
		t.Fatal(err)
	}
	if v, _, err := names.Get("c7"); err != nil || v != "other" {
		t.Errorf("after a restart c7 is %q (%v)", v, err)
	}
	i.end(t)
}

func TestGlobalTableOfAMissingTopicIsRefused(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-orders", 1)
	i := c.start(newGlobalWorld(t, c.name).topo, Config{Workers: 1})
	<-i.done
	if want := fmt.Sprintf("topic %q does not exist", c.name+"-customers"); i.err == nil || !strings.Contains(i.err.Error(), want) {
		t.Errorf("Run returned %v, want %q in it", i.err, want)
	}
}

// TestPunctuationsCommitWhatTheyForward runs where nothing but the processor's own requests makes a commit.
func TestPunctuationsCommitWhatTheyForward(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-in", 1)
	ticks := statestore.KeyValue("ticks", serde.String, serde.Int64)
	b := stream.NewBuilder()
	in := stream.From(b, stream.NewTopic(c.name+"-in", serde.String, serde.String))
	stream.Process(in, func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		store := stream.Store(p, ticks)
		p.Every(stream.WallClock, 10*time.Millisecond, func(now int64) error {
			n, _, err := store.Get("n")
			if err != nil {
				return err
			}
			p.Commit()
			return store.Put("n", n+1, now)
		})
		return func(*stream.Record[string, string]) error { return nil }
	}, ticks)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	i := c.start(topo, Config{Workers: 1, CommitInterval: 5 * time.Minute, TransactionTimeout: 11 * time.Minute})
	i.await(t, "commits", time.Minute, func(p Progress) bool { return p.Commits >= 3 })
	view, err := Query(i.app, ticks)
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := view.Get("n"); err != nil || n < 3 {
		t.Errorf("%d punctuations are committed (%v), want at least 3", n, err)
	}
	i.end(t)
}

func TestSourceByPatternReadsWhatExistsAtTheStart(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-in-a", 2)
	c.createTopic(c.name+"-in-b", 1)
	c.createTopic(c.name+"-else", 1)
	b := stream.NewBuilder()
	counts := statestore.KeyValue("in-counts", serde.String, serde.Int64)
	in := stream.FromPattern(b, c.name+"-in-.*", stream.NewTopic("", serde.String, serde.String))
	ktable.Count(stream.GroupBy(in, func(_, _ string) string { return "all" }, stream.NewTopic("by", serde.String, serde.String)), counts)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"-in-a", "-in-b", "-else"} {
		c.produceRows(c.name+topic, [2]string{"k1", "v"}, [2]string{"k2", "v"}, [2]string{"k3", "v"})
	}
	for range 2 { // the second time its own internal topics are there too
		i := c.start(topo, Config{Workers: 1, CommitInterval: 10 * time.Millisecond})
		i.await(t, "both topics", time.Minute, func(p Progress) bool { return p.Done() })
		if n := storeCounts(t, counts, i.app)["all"]; n != 6 {
			t.Errorf("%d records were counted, want 6", n)
		}
		i.end(t)
	}
}

// options are those of a client of the cluster.
func (c *cluster) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...)}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	return opts
}

// reusedTable is a table whose topic is its changelog.
func reusedTable(t *testing.T, topic string) (*stream.Topology, *statestore.KeyValueSpec[string, string]) {
	t.Helper()
	rows := statestore.KeyValue("rows", serde.String, serde.String)
	b := stream.NewBuilder()
	ktable.From(b, stream.NewTopic(topic, serde.String, serde.String), rows, stream.AsChangelog())
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo, rows
}

func TestTableIsRestoredFromItsOwnTopic(t *testing.T) {
	c := newCluster(t)
	topic := c.name + "-table"
	compact := "compact"
	if _, err := c.admin.CreateTopic(t.Context(), 1, -1, map[string]*string{"cleanup.policy": &compact}, topic); err != nil {
		t.Fatal(err)
	}
	const n = 50
	var rows [][2]string
	for i := range n {
		rows = append(rows, [2]string{fmt.Sprint("k", i), fmt.Sprint("v", i)})
	}
	c.produceRows(topic, rows...)
	topo, spec := reusedTable(t, topic)
	check := func(i *instance, what string, restored int64) {
		t.Helper()
		i.await(t, what, time.Minute, func(p Progress) bool { return p.State == Running && len(p.Tasks) == 1 && p.Tasks[0].Inputs != nil })
		if got := i.app.Progress().Tasks[0].Restored; got != restored {
			t.Errorf("%s: %d records were restored, want %d", what, got, restored)
		}
		view, err := Query(i.app, spec)
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			if v, _, err := view.Get(fmt.Sprint("k", k)); err != nil || v != fmt.Sprint("v", k) {
				t.Fatalf("%s: k%d is %q (%v)", what, k, v, err)
			}
		}
	}
	cfg := Config{Workers: 1, StateDir: t.TempDir(), CommitInterval: 10 * time.Millisecond}
	i := c.start(topo, cfg)
	i.await(t, "the rows", time.Minute, func(p Progress) bool { return p.Done() && p.Processed == n })
	i.end(t)

	// A transaction that somebody else has open in the topic is nothing to the table's start.
	cl, err := kgo.NewClient(append(c.options(), kgo.TransactionalID(c.name+"-other"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k0"), Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	i = c.start(topo, cfg)
	check(i, "a start with its state", 0)
	i.end(t)
	cfg.StateDir = t.TempDir()
	i = c.start(topo, cfg)
	check(i, "a start without its state", n)
	i.end(t)
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

func TestTopicThatForgetsIsNoChangelog(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-table", 1)
	topo, _ := reusedTable(t, c.name+"-table")
	i := c.start(topo, Config{Workers: 1})
	<-i.done
	if i.err == nil || !strings.Contains(i.err.Error(), "is the changelog of a table and has cleanup.policy=delete") {
		t.Errorf("Run returned %v", i.err)
	}
}
