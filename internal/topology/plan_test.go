package topology_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// cluster answers for topics.
func cluster(topics map[string]int32) func(string) (int32, bool) {
	return func(name string) (int32, bool) {
		n, ok := topics[name]
		return n, ok
	}
}

func planned(p *topology.Plan) map[string]int32 {
	m := map[string]int32{}
	for _, t := range p.Topics {
		m[t.Name] = t.Partitions
	}
	return m
}

func TestPlanDerivesTasksAndInternalTopics(t *testing.T) {
	p, err := wordCount(t).Plan("app", cluster(map[string]int32{"lines": 3}))
	if err != nil {
		t.Fatal(err)
	}
	if have, want := fmt.Sprint(p.Tasks), "[0_0 0_1 0_2 1_0 1_1 1_2]"; have != want {
		t.Errorf("tasks %s, want %s", have, want)
	}
	if have, want := fmt.Sprint(planned(p)), "map[app-by-word-repartition:3 app-counts-changelog:3]"; have != want {
		t.Errorf("topics %s, want %s", have, want)
	}
	for _, topic := range p.Topics {
		want := map[topology.InternalKind]string{topology.Repartition: "delete", topology.ChangelogKind: "compact"}[topic.Kind]
		if have := topic.Config["cleanup.policy"]; have != want {
			t.Errorf("%s: cleanup.policy %q, want %q", topic.Name, have, want)
		}
	}
	if p.Topics[0].Config["retention.ms"] != "-1" {
		t.Errorf("a repartition topic must not lose records by time: %v", p.Topics[0].Config)
	}
}

// TestPlanFollowsChainsOfRepartitionTopics derives a topic behind a topic behind the input.
func TestPlanFollowsChainsOfRepartitionTopics(t *testing.T) {
	b := stream.NewBuilder()
	s := stream.Repartition(stream.From(b, text("in")), text("one"))
	s = stream.Repartition(s, text("two").Partitions(7))
	s = stream.Repartition(s, text("three"))
	stream.To(s, text("out"))
	p, err := build(t, b).Plan("app", cluster(map[string]int32{"in": 4}))
	if err != nil {
		t.Fatal(err)
	}
	if have, want := fmt.Sprint(planned(p)), "map[app-one-repartition:4 app-three-repartition:7 app-two-repartition:7]"; have != want {
		t.Errorf("topics %s, want %s", have, want)
	}
}

// TestPlanMakesTopicsOfACircleAsWideAsWhatComesIn: a sub-topology reads what it writes itself, or what another makes of that.
func TestPlanMakesTopicsOfACircleAsWideAsWhatComesIn(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	once := stream.Repartition(in, text("once"))
	twice := stream.Repartition(stream.Merge(once, stream.Repartition(stream.From(b, text("wide")), text("far"))), text("twice"))
	stream.To(stream.Merge(stream.Merge(in, once), twice), text("out"))
	p, err := build(t, b).Plan("app", cluster(map[string]int32{"in": 3, "wide": 5}))
	if err != nil {
		t.Fatal(err)
	}
	if have, want := fmt.Sprint(planned(p)), "map[app-far-repartition:5 app-once-repartition:5 app-twice-repartition:5]"; have != want {
		t.Errorf("topics %s, want %s", have, want)
	}
}

func joinTopology(t *testing.T, rekey bool, partitions int) *topology.Topology {
	b := stream.NewBuilder()
	customers := ktable.From(b, text("customers"), statestore.KeyValue("customers", serde.String, serde.String))
	orders := stream.From(b, text("orders"))
	if rekey {
		orders = stream.SelectKey(orders, func(_, v string) string { return v })
	}
	stream.To(ktable.JoinStream(orders, customers, func(a, b string) string { return a + b }, text("orders-by").Partitions(partitions)), text("out"))
	return build(t, b)
}

func TestPlanRefusesJoinOfDifferentCounts(t *testing.T) {
	_, err := joinTopology(t, false, 0).Plan("app", cluster(map[string]int32{"orders": 6, "customers": 4}))
	if err == nil {
		t.Fatal("planned")
	}
	if have := err.Error(); !strings.HasPrefix(have, "plan_test.go:") || !strings.HasSuffix(have, ": ktable.JoinStream: not co-partitioned: orders has 6 partitions, customers has 4") {
		t.Errorf("the error is %q", have)
	}
}

func TestPlanGivesRepartitionTopicTheCountOfTheTableItMeets(t *testing.T) {
	p, err := joinTopology(t, true, 0).Plan("app", cluster(map[string]int32{"orders": 6, "customers": 4}))
	if err != nil {
		t.Fatal(err)
	}
	if have, want := fmt.Sprint(planned(p)), "map[app-customers-changelog:4 app-orders-by-repartition:4]"; have != want {
		t.Errorf("topics %s, want %s", have, want)
	}
	if _, err := joinTopology(t, true, 5).Plan("app", cluster(map[string]int32{"orders": 6, "customers": 4})); err == nil || !strings.Contains(err.Error(), "orders-by-repartition has 5") {
		t.Errorf("a repartition topic of 5 partitions met a table of 4: %v", err)
	}
}

// TestPlanRefusesStateOverTopicsOfDifferentCounts is where Kafka Streams silently counts one key in two tasks.
func TestPlanRefusesStateOverTopicsOfDifferentCounts(t *testing.T) {
	b := stream.NewBuilder()
	m := stream.Merge(stream.From(b, text("a")), stream.From(b, text("b")))
	ktable.Count(stream.GroupByKey(m), counts("c"))
	topo := build(t, b)
	if _, err := topo.Plan("app", cluster(map[string]int32{"a": 2, "b": 2})); err != nil {
		t.Errorf("equal counts: %v", err)
	}
	_, err := topo.Plan("app", cluster(map[string]int32{"a": 2, "b": 3}))
	if err == nil || !strings.Contains(err.Error(), "ktable.Count: not co-partitioned: a has 2 partitions, b has 3") {
		t.Errorf("the error is %v", err)
	}
}

func TestPlanNamesEveryMissingTopic(t *testing.T) {
	_, err := joinTopology(t, false, 0).Plan("app", cluster(nil))
	if err == nil || !strings.Contains(err.Error(), `topic "orders" does not exist`) || !strings.Contains(err.Error(), `topic "customers" does not exist`) {
		t.Errorf("the error is %v", err)
	}
}

func TestPlanRefusesInternalTopicOfAnotherCount(t *testing.T) {
	_, err := wordCount(t).Plan("app", cluster(map[string]int32{"lines": 3, "app-by-word-repartition": 2}))
	if err == nil || !strings.Contains(err.Error(), "app-by-word-repartition has 2 partitions but the topology needs 3") {
		t.Errorf("the error is %v", err)
	}
}

func TestSubtopologiesAreCutAtRepartitionTopicsAndJoinedByStores(t *testing.T) {
	if n := len(wordCount(t).Subtopologies()); n != 2 {
		t.Errorf("word count has %d sub-topologies, want 2", n)
	}
	topo := joinTopology(t, true, 0)
	if n := len(topo.Subtopologies()); n != 2 {
		t.Errorf("the join has %d sub-topologies, want 2", n)
	}
	// The table's sub-topology holds the repartition topic's source too, since the join reads its store.
	for _, s := range topo.Subtopologies() {
		if len(s.Stores()) == 1 && len(s.Sources()) != 2 {
			t.Errorf("sub-topology %d has the store and %d sources, want 2", s.ID(), len(s.Sources()))
		}
	}
	b := stream.NewBuilder()
	stream.To(stream.From(b, text("a")), text("x"))
	stream.To(stream.From(b, text("b")), text("y"))
	if n := len(build(t, b).Subtopologies()); n != 2 {
		t.Errorf("two chains without a store in common have %d sub-topologies, want 2", n)
	}
}

func TestBuildRefusesRepartitionTopicsOfDifferentCountsInOneJoin(t *testing.T) {
	b := stream.NewBuilder()
	key := func(_, v string) string { return v }
	l := ktable.Count(stream.GroupBy(stream.From(b, text("a")), key, text("left").Partitions(2)), counts("c"))
	r := stream.SelectKey(stream.From(b, text("b")), key)
	ktable.JoinStream(r, l, func(string, int64) string { return "" }, text("right").Partitions(3))
	_, err := b.Build()
	if err == nil || !strings.Contains(err.Error(), "ktable.JoinStream: not co-partitioned: right-repartition has 3 partitions, left-repartition has 2") {
		t.Errorf("the error is %v", err)
	}
}
