package ktable_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func concat(l, r string) string { return l + "-" + r }

// owner is the foreign key of a row "owner/rest".
func owner(row string) (string, bool) {
	key, _, ok := strings.Cut(row, "/")
	return key, ok
}

func ownerKey(name string) ktable.ForeignKey[string, string, string, string] {
	return ktable.NewForeignKey(name, serde.String, serde.String, serde.String, serde.String)
}

func ExampleJoin() {
	names, mails := text("names"), text("mails")
	b := stream.NewBuilder()
	cards := ktable.Join(ktable.From(b, names, texts("names")), ktable.From(b, mails, texts("mails")),
		func(name, mail string) string { return name + " <" + mail + ">" })
	stream.To(ktable.ToStream(cards), text("cards"))
	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, names, "1", "Ann", 1))
	check(runtimetest.Pipe(d, mails, "1", "ann@example.org", 2))
	check(runtimetest.Pipe(d, names, "1", "Anne", 3))
	for _, r := range runtimetest.Output(d, text("cards")) {
		fmt.Println(r.Value)
	}
	// Output:
	// Ann <ann@example.org>
	// Anne <ann@example.org>
}

func ExampleJoinForeign() {
	pets, people := text("pets"), text("people") // a pet is "owner/kind"
	b := stream.NewBuilder()
	owned := ktable.JoinForeign(ktable.From(b, pets, texts("pets")), ktable.From(b, people, texts("people")), owner,
		func(pet, person string) string { return pet + " of " + person }, ownerKey("owners"))
	stream.To(ktable.ToStream(owned), text("owned"))
	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, pets, "Rex", "p1/dog", 1))
	check(runtimetest.Pipe(d, pets, "Tom", "p1/cat", 2))
	check(runtimetest.Pipe(d, people, "p1", "Ann", 3))
	for _, r := range runtimetest.Output(d, text("owned")) {
		fmt.Println(r.Key, "is", r.Value)
	}
	// Output:
	// Rex is p1/dog of Ann
	// Tom is p1/cat of Ann
}

func ExampleJoinStreamLate() {
	orders, prices := text("orders"), text("prices")
	b := stream.NewBuilder()
	table := ktable.FromVersioned(b, prices, statestore.Versioned("prices", serde.String, serde.String, time.Minute))
	wait := ktable.WaitIn(statestore.GraceBuffer("waiting", serde.String, serde.String), 5*time.Millisecond)
	stream.To(ktable.JoinStreamLate(stream.From(b, orders), table, concat, wait), text("priced"))
	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, prices, "tea", "2", 1))
	check(runtimetest.Pipe(d, orders, "tea", "first", 10))
	check(runtimetest.Pipe(d, prices, "tea", "3", 8)) // late, and not too late
	check(runtimetest.Pipe(d, orders, "tea", "second", 15))
	for _, r := range runtimetest.Output(d, text("priced")) {
		fmt.Println(r.Value, "at", r.Timestamp)
	}
	// Output: first-3 at 10
}

// TestForeignKeyJoinFindsItsWayBetweenPartitions joins tables of different partition counts, with crashes in between: each answer comes back to the partition of
// its left row.
func TestForeignKeyJoinFindsItsWayBetweenPartitions(t *testing.T) {
	b := stream.NewBuilder()
	left, right := ktable.From(b, text("l"), texts("L")), ktable.From(b, text("r"), texts("R"))
	joined := ktable.LeftJoinForeign(left, right, owner, func(l, r string, ok bool) string { return fmt.Sprint(l, "-", r, ok) }, ownerKey("f"), texts("J"))
	stream.To(ktable.ToStream(joined), text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{Partitions: map[string]int{"l": 5, "r": 3}})
	for i := range 20 {
		feed(t, d, "l", fmt.Sprintf("k%d=r%d/x@%d", i, i%4, i))
		if i%7 == 0 {
			if err := d.Restart(true); err != nil {
				t.Fatal(err)
			}
		}
	}
	feed(t, d, "r", "r0=A@30", "r1=B@31", "r0=∅@32")
	have := map[string]string{}
	for _, r := range runtimetest.Output(d, text("out")) {
		have[r.Key] = r.Value
	}
	for i := range 20 {
		want := fmt.Sprintf("r%d/x-false", i%4)
		if i%4 == 1 {
			want = "r1/x-Btrue"
		}
		if key := fmt.Sprintf("k%d", i); have[key] != want {
			t.Errorf("%s: %q, want %q", key, have[key], want)
		}
	}
}

// TestForeignKeyJoinFollowsThePartitionersOfItsTables looks where subscriptions and answers go.
func TestForeignKeyJoinFollowsThePartitionersOfItsTables(t *testing.T) {
	b := stream.NewBuilder()
	via := ownerKey("f").LeftPartition(func(_ string, n int) int { return n - 1 }).RightPartition(func(_ string, n int) int { return n - 2 })
	ktable.LeftJoinForeign(ktable.From(b, text("l"), texts("L")), ktable.From(b, text("r"), texts("R")), owner,
		func(l, r string, _ bool) string { return l + r }, via)
	d := runtimetest.Start(t, b, runtimetest.Config{Partitions: map[string]int{"l": 5, "r": 3}})
	for i := range 8 {
		feed(t, d, "l", fmt.Sprintf("k%d=r%d/x@%d", i, i, i))
	}
	for topic, want := range map[string]int32{"test-f-subscription-registration-topic": 1, "test-f-subscription-response-topic": 4} {
		records := d.OutputRaw(topic)
		if len(records) != 8 {
			t.Errorf("%s has %d records, want 8", topic, len(records))
		}
		for _, r := range records {
			if r.Partition != want {
				t.Errorf("%s: a record in partition %d, want %d", topic, r.Partition, want)
			}
		}
	}
}

// TestJoinMakesNoAllocation takes records of known keys through a join of tables.
func TestJoinMakesNoAllocation(t *testing.T) {
	p := newPath(t, func(b *stream.Builder, in *stream.Stream[int64, int64]) {
		left := ktable.ToTable(in, statestore.KeyValue("l", serde.Int64, serde.Int64))
		right := ktable.From(b, stream.NewTopic("rows", serde.Int64, serde.Int64), statestore.KeyValue("r", serde.Int64, serde.Int64))
		kept := statestore.KeyValue("j", serde.Int64, serde.Int64)
		stream.To(ktable.ToStream(ktable.Join(left, right, func(l, r int64) int64 { return l + r }, kept)), numbers)
	})
	p.warm(t)
	sent := p.env.sent
	if n := testing.AllocsPerRun(1000, func() { p.record(t) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
	if p.env.sent == sent {
		t.Error("nothing was joined")
	}
}

func TestWrongJoinsAreFaults(t *testing.T) {
	b := stream.NewBuilder()
	l, bare := ktable.From(b, text("l"), texts("L")), ktable.From(b, text("bare"), nil)
	in := stream.From(b, text("in"))
	old := ktable.FromVersioned(b, text("old"), statestore.Versioned("O", serde.String, serde.String, time.Second))
	buffer := statestore.GraceBuffer("B", serde.String, serde.String)
	ktable.Join(l, bare, concat)
	ktable.Join(l, l, (func(l, r string) string)(nil))
	ktable.JoinForeign(l, bare, owner, concat, ownerKey(""))
	ktable.JoinForeign(l, l, owner, concat, ownerKey("twice"))
	ktable.JoinForeign(l, l, owner, concat, ownerKey("twice"))
	ktable.JoinStreamLate(in, l, concat, ktable.WaitIn(buffer, time.Second))
	ktable.JoinStreamLate(in, old, concat, ktable.WaitIn(buffer, time.Minute))
	ktable.Join(l, ktable.From(stream.NewBuilder(), text("x"), texts("X")), concat)
	_, err := b.Build()
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{
		"ktable.Join: the table of joins_test.go:",
		"ktable.Join: the function is nil",
		"ktable.JoinForeign: a foreign-key join needs a name",
		`ktable.JoinForeign: repartition topic "twice-subscription-registration-topic" is already used at joins_test.go:`,
		"is not versioned, so that there is nothing to wait for",
		"a grace of 1m0s is longer than the table's history, 1s",
		"ktable.Join: takes a stream of another Builder",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
}

// TestOptionsOfAForeignKeyReachItsStore, and no handle but the one that was made with them.
func TestOptionsOfAForeignKeyReachItsStore(t *testing.T) {
	plain := ktable.NewForeignKey("f", serde.String, serde.String, serde.String, serde.String)
	for _, c := range []struct {
		via      ktable.ForeignKey[string, string, string, string]
		inMemory bool
		segments string
	}{{plain, false, ""}, {plain.InMemory(), true, ""}, {plain.ChangelogConfig("segment.ms", "1000"), false, "1000"}} {
		b := stream.NewBuilder()
		ktable.JoinForeign(ktable.From(b, text("l"), texts("l")), ktable.From(b, text("r"), texts("r")),
			func(row string) (string, bool) { return row, true }, func(l, r string) string { return l + r }, c.via)
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, sub := range topo.Subtopologies() {
			for _, s := range sub.Stores() {
				if s.Spec.StoreName() != "f-subscription-store" {
					continue
				}
				found++
				if have := s.Spec.Changelog().Config["segment.ms"]; s.Spec.IsInMemory() != c.inMemory || have != c.segments {
					t.Errorf("in memory %v, segment.ms %q; want %v, %q", s.Spec.IsInMemory(), have, c.inMemory, c.segments)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d stores of subscriptions, want one", found)
		}
	}
}
