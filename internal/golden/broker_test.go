package golden_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime"
)

// TestMain makes the test's program the process that is killed, too.
func TestMain(m *testing.M) {
	if os.Getenv(caseVariable) != "" {
		if err := runChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var (
	atBroker = flag.Int("at-broker", 50, "how many cases play in the runtime at a broker; -1: all")
	killing  = flag.Int("killing", 50, "how many cases play in processes that are killed; -1: all")
)

// TestGoldenAtABroker plays cases in the runtime, with exactly-once.
func TestGoldenAtABroker(t *testing.T) {
	playSome(t, *atBroker, func(t *testing.T, _ string, in *interpreter, topo *topology.Topology, b *brokertest.Broker) {
		m, err := newApplication(in, topo, runtime.Config{Brokers: []string{b.Addr}, Dial: b.Net.Dial}, b.Opts())
		if err != nil {
			t.Fatal(err)
		}
		if len(topo.Globals()) > 0 { // what its topic has before the copy is complete is not counted when it is dropped
			err = m.start()
		}
		if err != nil {
			t.Error(errors.Join(err, m.close()))
		} else if in.play(t, m) {
			if err := m.close(); err != nil {
				t.Error(err)
			}
		} else {
			m.close() // with the error that the case has told already
		}
	})
}

// TestGoldenOutlivesKills plays cases in the runtime, in a process that is killed (SIGKILL) between the steps or in the midst of them, and now and then loses its stores too.
func TestGoldenOutlivesKills(t *testing.T) {
	playSome(t, *killing, func(t *testing.T, file string, in *interpreter, topo *topology.Topology, b *brokertest.Broker) {
		if in.forgets(true) {
			t.Skip("what the case keeps outside of stores and changelogs does not outlive its process")
		}
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		address := b.Listen()
		terminal, err := newTerminal(in, topo, []kgo.Opt{kgo.SeedBrokers(address)})
		if err != nil {
			t.Fatal(err)
		}
		seed := uint64(rank(in.c.Name))
		m := &killed{terminal: terminal, file: file, address: address, state: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0)), inStep: seed%2 == 0}
		m.uncounted = m.inStep || len(topo.Globals()) > 0
		defer terminal.client.Close()
		defer m.kill()
		in.play(t, m)
	})
}

// playSome plays some of the cases, the same ones in each run.
func playSome(t *testing.T, count int, play func(*testing.T, string, *interpreter, *topology.Topology, *brokertest.Broker)) {
	if testing.Short() {
		count = min(count, 5)
	}
	files, err := filepath.Glob(filepath.Join(*dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("there is no case in %s", *dir)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	for _, f := range files {
		if count == 0 {
			break
		}
		t.Run(filepath.Base(f[:len(f)-len(".json")]), func(t *testing.T) {
			c, err := readCase(f)
			if err != nil {
				t.Fatal(err)
			}
			differs(c)
			in, reason := interpret(c)
			if reason == "" {
				reason = in.driverOnly()
			}
			if reason != "" {
				t.Skip(reason)
			}
			topo, err := in.b.Build()
			if err = errors.Join(err, in.refused); err != nil {
				t.Fatal(err)
			}
			if len(topo.Subtopologies()) > 1 && slices.ContainsFunc(c.Topology, func(op caseOp) bool { return op.Op == "process" && op.Every > 0 }) {
				t.Skip("punctuation by the one stream time that the library's driver has for all sub-topologies; a task has its own")
			}
			if topic := in.keyless(topo); topic != "" {
				t.Skipf("topic %s is a table's changelog, and so compacted: it refuses the records without a key", topic)
			}
			for _, i := range topo.Internal() {
				in.made[i.Ref.Name] = true
			}
			in.loose = in.overtakes()
			count--
			play(t, f, in, topo, brokertest.Start(t, broker.Config{}))
		})
	}
}

// keyless is a topic that is compacted and to which the case pipes a record without a key, "" when there is none.
func (in *interpreter) keyless(topo *topology.Topology) string {
	for _, d := range topo.Stores() {
		if d.Source != nil && slices.ContainsFunc(in.c.Steps, func(s caseStep) bool {
			return s.Pipe != nil && *s.Pipe == d.Source.Name && s.Key == nil && s.KeyHex == nil
		}) {
			return d.Source.Name
		}
	}
	return ""
}

// rank is a case's place in the lot.
func rank(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(filepath.Base(name)))
	return h.Sum32()
}

// overtaking are cases whose results within a step depend on which of several records in flight comes first, and how many of them meet before a commit: both are
// left open by a real cluster, and Kafka Streams itself answers so in its driver alone. What their tables hold in the end does not depend on it, and is compared.
var overtaking = map[string]string{
	"random-00078": "two changes of one row are on their way to a foreign-key join at once: the answer to the first one is stale when it comes",
	"random-00125": "a change of a row and the answer to it from the row itself are on their way to a second foreign-key join at once: the answer to the first one is stale",
	"random-00141": "a join of four repartition topics that one record feeds",
}

// overtakes tells whether only what the tables of a case hold in the end is told.
func (in *interpreter) overtakes() bool {
	return overtaking[in.c.Name] != "" || slices.ContainsFunc(in.c.Topology, func(op caseOp) bool { return in.crosses(&op) })
}

// crosses tells whether what follows from one record meets again in an operator, after ways of its own through other topics: nothing says which comes first.
func (in *interpreter) crosses(op *caseOp) bool {
	sides := []string{op.Of, op.With}
	for _, input := range op.Inputs {
		sides = append(sides, input.Of)
	}
	met, someFar := map[string]bool{}, op.ForeignKey != "" && op.Of != op.With
	shared := false
	for _, id := range sides {
		topics, far := in.origins(id)
		someFar = someFar || far
		for topic := range topics {
			shared = shared || met[topic]
		}
		maps.Copy(met, topics)
	}
	return shared && someFar
}

// movers are the operators behind which records pass another topic to be with their keys, at the latest before they are joined.
var movers = []string{"groupBy", "repartition", "selectKey", "map", "flatMap", "process"}

// origins are the topics that an operator's results follow from; far says that records pass other topics on the way.
func (in *interpreter) origins(id string) (topics map[string]bool, far bool) {
	topics = map[string]bool{}
	at := slices.IndexFunc(in.c.Topology, func(op caseOp) bool {
		return op.ID == id || op.Default == id || slices.ContainsFunc(op.Branches, func(b caseBranch) bool { return b.ID == id })
	})
	if id == "" || at < 0 {
		return topics, false
	}
	op := &in.c.Topology[at]
	for _, topic := range append(slices.Clone(op.Topics), op.Topic) {
		if topic != "" {
			topics[topic] = true
		}
	}
	far = op.ForeignKey != "" || slices.Contains(movers, op.Op)
	above := []string{op.Of, op.With}
	for _, input := range op.Inputs {
		above = append(above, input.Of)
	}
	for _, id := range above {
		more, moreFar := in.origins(id)
		maps.Copy(topics, more)
		far = far || moreFar
	}
	return topics, far
}

// driverOnly says why a case makes sense in the driver alone.
func (in *interpreter) driverOnly() string {
	c := in.c
	switch {
	case c.Expect.Error != nil && c.Expect.Error.Step == nil:
		return "the topology is refused before it runs"
	case c.Config.CacheBytes > 0:
		return "what a cache lets through depends on when commits happen"
	case c.Config.EmitIntervalMs > 0:
		return "an interval by the wall clock, which is the machine's"
	}
	for _, op := range c.Topology {
		if op.Kind == "meta" || op.Clock == "wall" || op.Timestamps == "wallClock" {
			return "an operator that goes by the wall clock, which is the machine's"
		}
	}
	for _, s := range c.Steps {
		if s.Pipe != nil && !in.reads(*s.Pipe) {
			return "a topic that nobody reads is refused by the driver alone"
		}
	}
	return ""
}

// reads tells whether the case has a source for a topic.
func (in *interpreter) reads(topic string) bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool {
		return op.Topic == topic && op.Op != "to" || slices.Contains(op.Topics, topic) || op.Pattern != ""
	})
}
