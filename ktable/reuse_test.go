package ktable_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func TestTableComesBackFromItsOwnTopic(t *testing.T) {
	rows := statestore.KeyValue("rows", serde.String, serde.Int64)
	topic := stream.NewTopic("t", serde.String, serde.Int64)
	b := stream.NewBuilder()
	stream.To(ktable.ToStream(ktable.From(b, topic, rows, stream.AsChangelog(), stream.SkipInvalidTimestamps())), stream.NewTopic("out", serde.String, serde.Int64))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topo.Internal()); n != 0 {
		t.Errorf("the topology has %d internal topics, want none", n)
	}
	d, err := runtimetest.New(topo, runtimetest.Config{Faults: stream.Faults{Deserialization: stream.SkipFaults}, Partitions: map[string]int{"t": 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	seven := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	for _, r := range []struct {
		key, value []byte
		at         int64
	}{
		{[]byte("a"), seven, 1}, {[]byte("b"), seven, 2}, {[]byte("b"), nil, 3}, {nil, seven, 4}, {[]byte("c"), []byte("short"), 5}, {[]byte("d"), seven, -1}, {[]byte("e"), seven, 6},
	} {
		if err := d.PipeRaw("t", r.key, r.value, r.at); err != nil {
			t.Fatal(err)
		}
	}
	for _, lose := range []bool{false, true, true} {
		if err := d.Restart(lose); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for e, err := range runtimetest.KeyValue(d, rows).All() {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, e.Key)
		}
		if len(keys) != 2 || !strings.Contains(strings.Join(keys, ""), "a") || !strings.Contains(strings.Join(keys, ""), "e") {
			t.Errorf("lose %v: the rows are %v, want a and e", lose, keys)
		}
	}
	if err := runtimetest.Pipe(d, topic, "f", 8, 7); err != nil {
		t.Fatal(err)
	}
	if n, _, err := runtimetest.KeyValue(d, rows).Get("f"); n != 8 || err != nil {
		t.Errorf("f is %d (%v)", n, err)
	}
}

func TestAsChangelogFaults(t *testing.T) {
	type bytes = stream.Topic[string, string]
	b := stream.NewBuilder()
	topic := func(name string) bytes { return stream.NewTopic(name, serde.String, serde.String) }
	rows := func(name string) *statestore.KeyValueSpec[string, string] {
		return statestore.KeyValue(name, serde.String, serde.String)
	}
	ktable.From(b, topic("a"), nil, stream.AsChangelog())
	ktable.From(b, topic("b"), rows("b").WithoutChangelog(), stream.AsChangelog())
	ktable.From(b, topic("c"), rows("c"), stream.AsChangelog(), stream.UseWallClock())
	ktable.From(b, stream.NewTopic("d", serde.String, serde.JSON[string]()), rows("d"), stream.AsChangelog())
	stream.From(b, topic("e"), stream.AsChangelog())
	ktable.FromGlobal(b, topic("f"), rows("f"), stream.AsChangelog())
	_, err := b.Build()
	for _, want := range []string{
		`topic "a" is to be a changelog, but the table has no store`,
		`store "b" is without a changelog: its topic cannot be one`,
		`topic "c" is to be a changelog, but its records get other times than they have`,
		`topic "d" is to be the changelog of store "d", but is encoded with other serdes`,
		`stream.From: only the topic of a table can be a changelog`,
		`ktable.FromGlobal: a global table has no changelog`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}
