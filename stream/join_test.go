package stream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func ExampleLeftJoin() {
	ads := stream.NewTopic("ads", serde.String, serde.String)
	clicks := stream.NewTopic("clicks", serde.String, serde.String)
	out := stream.NewTopic("out", serde.String, serde.String)
	b := stream.NewBuilder()
	seen := stream.LeftJoin(stream.From(b, ads), stream.From(b, clicks), func(ad, by string, clicked bool) string {
		if !clicked {
			return ad + " was ignored"
		}
		return ad + " was clicked by " + by
	}, stream.Within(time.Minute).Before(0), stream.NewJoinState("seen", serde.String, serde.String, serde.String))
	stream.To(seen, out)

	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	at := func(minutes int64) int64 { return minutes * 60_000 }
	for _, err := range []error{
		runtimetest.Pipe(d, ads, "1", "shoes", at(0)),
		runtimetest.Pipe(d, clicks, "1", "Ann", at(1)),
		runtimetest.Pipe(d, ads, "2", "hats", at(2)),
		runtimetest.Pipe(d, ads, "3", "socks", at(4)), // a minute after the hats, and more
	} {
		if err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Value)
	}
	// Output:
	// shoes was clicked by Ann
	// hats was ignored
}

func TestWrongJoinsAreFaults(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, stream.NewTopic("in", serde.String, serde.String))
	other := stream.From(b, stream.NewTopic("other", serde.String, serde.String))
	f := func(l, r string) string { return l + r }
	state := func(name string) stream.JoinState[string, string, string] {
		return stream.NewJoinState(name, serde.String, serde.String, serde.String)
	}
	stream.Join(in, other, f, stream.Within(time.Second).Before(-2*time.Second), state("a"))
	stream.Join(in, other, f, stream.Within(time.Second).Grace(-1), state("b"))
	stream.Join(in, other, (func(l, r string) string)(nil), stream.Within(time.Second), state("c"))
	stream.Join(in, other, f, stream.Within(time.Second), state("c"))
	stream.Join(in, other, f, stream.Within(time.Second), state("d").OneStore())
	stream.Join(in, other, f, stream.Within(time.Second), stream.JoinState[string, string, string]{})
	_, err := b.Build()
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{
		"join_test.go:", "ends before it begins", "a grace of -1ns", "the function is nil", `store "c-this-join-store" is already used`,
		`one store will not do for join "d"`, "needs a name for its state", `"" lacks a serde`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
}

// TestSettingsOfAJoinReachEachOfItsChangelogs, and no handle but the one that was made with them.
func TestSettingsOfAJoinReachEachOfItsChangelogs(t *testing.T) {
	plain := stream.NewJoinState("j", serde.String, serde.String, serde.String).ChangelogConfig("segment.ms", "1000")
	one, two := plain.ChangelogConfig("segment.bytes", "1"), plain.ChangelogConfig("segment.bytes", "2")
	for want, state := range map[string]stream.JoinState[string, string, string]{"": plain, "1": one, "2": two} {
		b := stream.NewBuilder()
		stream.OuterJoin(stream.From(b, text("l")), stream.From(b, text("r")), func(l, r string, _ stream.Sides) string { return l + r }, stream.Within(time.Second), state)
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		stores := topo.Subtopologies()[0].Stores()
		if len(stores) != 3 {
			t.Fatalf("%d stores, want 3", len(stores))
		}
		for _, s := range stores {
			if c := s.Spec.Changelog().Config; c["segment.ms"] != "1000" || c["segment.bytes"] != want {
				t.Errorf("store %q: %v, want segment.bytes %q", s.Spec.StoreName(), c, want)
			}
		}
	}
}

func TestOptionsOfAJoinReachAllItsStoresAndTopics(t *testing.T) {
	type State = stream.JoinState[string, string, string]
	build := func(options func(State) State) *stream.Topology {
		t.Helper()
		b := stream.NewBuilder()
		text := func(name string) *stream.Stream[string, string] { // with other keys than its topic, so that the join repartitions it
			return stream.SelectKey(stream.From(b, stream.NewTopic(name, serde.String, serde.String)), func(_, v string) string { return v })
		}
		stream.OuterJoin(text("l"), text("r"), func(l, r string, _ stream.Sides) string { return l + r }, stream.Within(time.Minute),
			options(stream.NewJoinState("J", serde.String, serde.String, serde.String)))
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	for name, c := range map[string]struct {
		options    func(State) State
		changelogs int
		partitions int32
		setting    string
		inMemory   bool
	}{
		"none":                  {func(s State) State { return s }, 3, 0, "", false},
		"in memory":             {State.InMemory, 3, 0, "", true},
		"without changelog":     {State.WithoutChangelog, 0, 0, "", false},
		"partitions":            {func(s State) State { return s.Partitions(7) }, 3, 7, "", false},
		"changelog's settings":  {func(s State) State { return s.ChangelogConfig("segment.bytes", "4096") }, 3, 0, "4096", false},
		"a copy leaves the one": {func(s State) State { s.InMemory().WithoutChangelog().Partitions(7); return s }, 3, 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			topo := build(c.options)
			repartitions, changelogs := 0, 0
			for _, topic := range topo.Internal() {
				if topic.Store == "" {
					repartitions++
					if topic.Partitions != c.partitions {
						t.Errorf("%s has %d partitions, want %d", topic.Ref.Name, topic.Partitions, c.partitions)
					}
					continue
				}
				changelogs++
				if got := topic.Config["segment.bytes"]; got != c.setting {
					t.Errorf("%s has segment.bytes=%q, want %q", topic.Ref.Name, got, c.setting)
				}
			}
			if repartitions != 2 || changelogs != c.changelogs || len(topo.Stores()) != 3 {
				t.Errorf("%d repartition topics, %d changelogs, %d stores; want 2, %d and 3", repartitions, changelogs, len(topo.Stores()), c.changelogs)
			}
			for _, d := range topo.Stores() {
				if d.Spec.IsInMemory() != c.inMemory {
					t.Errorf("store %s in memory: %v", d.Spec.StoreName(), d.Spec.IsInMemory())
				}
			}
		})
	}
}
