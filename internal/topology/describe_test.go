package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func text(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String, serde.String)
}

func counts(name string) *statestore.KeyValueSpec[string, int64] {
	return statestore.KeyValue(name, serde.String, serde.Int64)
}

func build(t *testing.T, b *stream.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func wordCount(t *testing.T) *topology.Topology {
	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, text("lines")), strings.FieldsSeq)
	grouped := stream.GroupBy(words, func(_, w string) string { return w }, text("by-word"))
	stream.To(ktable.ToStream(ktable.Count(grouped, counts("counts"))), stream.NewTopic("word-counts", serde.String, serde.Int64))
	return build(t, b)
}

// TestDescribeHasKafkaStreamsForm holds the text against what Kafka Streams 4.3.1 prints for the same programs; only the numbers of nodes are our own.
func TestDescribeHasKafkaStreamsForm(t *testing.T) {
	const want = `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [lines])
      --> KSTREAM-FLATMAPVALUES-0000000001
    Processor: KSTREAM-FLATMAPVALUES-0000000001 (stores: [])
      --> KSTREAM-KEY-SELECT-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-KEY-SELECT-0000000002 (stores: [])
      --> by-word-repartition-filter
      <-- KSTREAM-FLATMAPVALUES-0000000001
    Processor: by-word-repartition-filter (stores: [])
      --> by-word-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000002
    Sink: by-word-repartition-sink (topic: by-word-repartition)
      <-- by-word-repartition-filter

  Sub-topology: 1
    Source: by-word-repartition-source (topics: [by-word-repartition])
      --> KSTREAM-AGGREGATE-0000000003
    Processor: KSTREAM-AGGREGATE-0000000003 (stores: [counts])
      --> KTABLE-TOSTREAM-0000000004
      <-- by-word-repartition-source
    Processor: KTABLE-TOSTREAM-0000000004 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- KSTREAM-AGGREGATE-0000000003
    Sink: KSTREAM-SINK-0000000005 (topic: word-counts)
      <-- KTABLE-TOSTREAM-0000000004

`
	if have := wordCount(t).String(); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

// joined has two sources of one sub-topology, an operator with several children, one with several parents, and one with none.
func joined(t *testing.T) *topology.Topology {
	b := stream.NewBuilder()
	customers := ktable.From(b, text("customers"), statestore.KeyValue("customers-store", serde.String, serde.String))
	m := stream.Merge(stream.From(b, text("orders")), stream.From(b, text("orders2")))
	join := func(a, b string) string { return a + b }
	stream.To(ktable.JoinStream(m, customers, join), text("out"))
	rekeyed := stream.SelectKey(m, func(_, v string) string { return v })
	stream.ForEach(ktable.LeftJoinStream(rekeyed, customers, func(a, b string, _ bool) string { return a + b }, text("rekeyed")), func(_, _ string) {})
	perMinute := stream.WindowBy(stream.GroupByKey(m), stream.Tumbling(time.Minute))
	stream.To(ktable.ToStream(ktable.CountWindows(perMinute, statestore.Window("win", serde.String, serde.Int64))),
		stream.NewTopic("w", serde.TimeWindowed(serde.String, time.Minute), serde.Int64))
	return build(t, b)
}

func TestDescribeOrdersByWeightAndShowsStores(t *testing.T) {
	const want = `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000002 (topics: [orders])
      --> KSTREAM-MERGE-0000000004
    Source: KSTREAM-SOURCE-0000000003 (topics: [orders2])
      --> KSTREAM-MERGE-0000000004
    Processor: KSTREAM-MERGE-0000000004 (stores: [])
      --> KSTREAM-AGGREGATE-0000000010, KSTREAM-JOIN-0000000005, KSTREAM-KEY-SELECT-0000000007
      <-- KSTREAM-SOURCE-0000000002, KSTREAM-SOURCE-0000000003
    Processor: KSTREAM-AGGREGATE-0000000010 (stores: [win])
      --> KTABLE-TOSTREAM-0000000011
      <-- KSTREAM-MERGE-0000000004
    Processor: KSTREAM-KEY-SELECT-0000000007 (stores: [])
      --> rekeyed-repartition-filter
      <-- KSTREAM-MERGE-0000000004
    Source: rekeyed-repartition-source (topics: [rekeyed-repartition])
      --> KSTREAM-LEFTJOIN-0000000008
    Processor: KSTREAM-JOIN-0000000005 (stores: [customers-store])
      --> KSTREAM-SINK-0000000006
      <-- KSTREAM-MERGE-0000000004
    Processor: KSTREAM-LEFTJOIN-0000000008 (stores: [customers-store])
      --> KSTREAM-FOREACH-0000000009
      <-- rekeyed-repartition-source
    Source: KSTREAM-SOURCE-0000000000 (topics: [customers])
      --> KTABLE-SOURCE-0000000001
    Processor: KTABLE-TOSTREAM-0000000011 (stores: [])
      --> KSTREAM-SINK-0000000012
      <-- KSTREAM-AGGREGATE-0000000010
    Processor: rekeyed-repartition-filter (stores: [])
      --> rekeyed-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000007
    Processor: KSTREAM-FOREACH-0000000009 (stores: [])
      --> none
      <-- KSTREAM-LEFTJOIN-0000000008
    Sink: KSTREAM-SINK-0000000006 (topic: out)
      <-- KSTREAM-JOIN-0000000005
    Sink: KSTREAM-SINK-0000000012 (topic: w)
      <-- KTABLE-TOSTREAM-0000000011
    Processor: KTABLE-SOURCE-0000000001 (stores: [customers-store])
      --> none
      <-- KSTREAM-SOURCE-0000000000
    Sink: rekeyed-repartition-sink (topic: rekeyed-repartition)
      <-- rekeyed-repartition-filter

`
	if have := joined(t).String(); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

func TestPicturesShowOperatorsTopicsAndStores(t *testing.T) {
	topo := wordCount(t)
	dot := topo.DOT()
	for _, want := range []string{
		`subgraph cluster_1`, `"topic lines" -> "KSTREAM-SOURCE-0000000000"`, `"by-word-repartition-sink" -> "topic by-word-repartition"`,
		`"topic by-word-repartition" -> "by-word-repartition-source"`, `"KSTREAM-AGGREGATE-0000000003" -> "store counts"`, `"store counts" [shape=cylinder, label="counts"]`,
	} {
		if !strings.Contains(dot, want) {
			t.Errorf("DOT lacks %s:\n%s", want, dot)
		}
	}
	if strings.Count(dot, "{") != strings.Count(dot, "}") {
		t.Errorf("DOT's braces do not match:\n%s", dot)
	}
	const mermaid = `flowchart LR
  subgraph s0 ["Sub-topology 0"]
    n0["KSTREAM-SOURCE-0000000000"]
    n1["KSTREAM-FLATMAPVALUES-0000000001"]
    n2["KSTREAM-KEY-SELECT-0000000002"]
    n3["by-word-repartition-filter"]
    n4["by-word-repartition-sink"]
  end
  subgraph s1 ["Sub-topology 1"]
    n5["by-word-repartition-source"]
    n6["KSTREAM-AGGREGATE-0000000003"]
    n7["KTABLE-TOSTREAM-0000000004"]
    n8["KSTREAM-SINK-0000000005"]
    n9[("counts")]
  end
  n10>"lines"]
  n11>"by-word-repartition"]
  n12>"word-counts"]
  n10 --> n0
  n0 --> n1
  n1 --> n2
  n2 --> n3
  n3 --> n4
  n4 --> n11
  n11 --> n5
  n5 --> n6
  n6 --> n7
  n6 -.- n9
  n7 --> n8
  n8 --> n12
`
	if have := topo.Mermaid(); have != mermaid {
		t.Errorf("have\n%s\nwant\n%s", have, mermaid)
	}
}

func TestFingerprintFollowsStructureAndDurableNames(t *testing.T) {
	make := func(store, via string, extra bool) string {
		b := stream.NewBuilder()
		s := stream.From(b, text("in"))
		if extra {
			s = stream.Filter(s, func(_, _ string) bool { return true })
		}
		ktable.Count(stream.GroupBy(s, func(_, v string) string { return v }, text(via)), counts(store))
		return build(t, b).Fingerprint()
	}
	first := make("s", "v", false)
	if again := make("s", "v", false); again != first {
		t.Errorf("two builds of one program: %s and %s", first, again)
	}
	for name, other := range map[string]string{"another store": make("s2", "v", false), "another repartition topic": make("s", "v2", false), "another operator": make("s", "v", true)} {
		if other == first {
			t.Errorf("%s has the same fingerprint", name)
		}
	}
}

// TestDescribeShowsGlobalTablesPatternsAndChosenTopics has the lines that Kafka Streams prints for them; a global table's number comes after those of the tasks.
func TestDescribeShowsGlobalTablesPatternsAndChosenTopics(t *testing.T) {
	b := stream.NewBuilder()
	g := ktable.FromGlobal(b, text("g"), statestore.KeyValue("G", serde.String, serde.String))
	s := stream.FromPattern(b, "in-.*", text(""))
	j := ktable.JoinGlobal(s, g, func(_, v string) string { return v }, func(v, row string) string { return v + row })
	stream.ToBy(j, func(_, v string) stream.Topic[string, string] { return text(v) })
	stream.To(stream.FromAll(b, []stream.Topic[string, string]{text("z"), text("a")}), text("out"))
	have := build(t, b).String()
	for _, want := range []string{
		"    Source: KSTREAM-SOURCE-0000000002 (topics: in-.*)\n      --> KSTREAM-LEFTJOIN-0000000003\n",
		"    Sink: KSTREAM-SINK-0000000004 (extractor class: stream.ToBy)\n",
		"    Source: KSTREAM-SOURCE-0000000005 (topics: [a, z])\n",
		"  Sub-topology: 2 for global store (will not generate tasks)\n    Source: KSTREAM-SOURCE-0000000000 (topics: [g])\n      --> KTABLE-SOURCE-0000000001\n" +
			"    Processor: KTABLE-SOURCE-0000000001 (stores: [G])\n      --> none\n      <-- KSTREAM-SOURCE-0000000000\n",
	} {
		if !strings.Contains(have, want) {
			t.Errorf("no %q in\n%s", want, have)
		}
	}
}
