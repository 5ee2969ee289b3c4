package main

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

func TestGroupDescribeShowsConsumerGroups(t *testing.T) {
	address := serve(t, &broker.Server{})
	cli := func(stdin string, args ...string) outcome {
		return millrace(t, stdin, append(args, "--brokers", address)...)
	}
	cli("", "topic", "create", "orders", "-p", "2").expect(t, exitDone)
	cli("a\nb\nc\n", "topic", "produce", "orders", "-p", "1").expect(t, exitDone)
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("reader"), kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for read := 0; read < 3; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += fetches.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	cli("d\n", "topic", "produce", "orders", "-p", "1").expect(t, exitDone)
	cli("", "group", "describe", "readers").expect(t, exitDone, "Group: readers\tState: Stable\tProtocol: uniform\t", "Members: 1\tLag: 1\n")
	d := decode[[]describedGroup](t, cli("", "group", "describe", "readers", "-o", "json"))
	if len(d) != 1 || len(d[0].Offsets) != 2 {
		t.Fatalf("described %+v", d)
	}
	if o := d[0].Offsets[0]; o.Partition != 0 || o.Current != -1 || o.Lag != -1 || o.Client != "reader" {
		t.Errorf("partition 0, where nothing is committed: %+v", o)
	}
	if o := d[0].Offsets[1]; o.Partition != 1 || o.Current != 3 || o.LogEnd != 4 || o.Lag != 1 || o.Client != "reader" {
		t.Errorf("partition 1: %+v", o)
	}
}
