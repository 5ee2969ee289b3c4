package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

func TestAppResetTakesWhatTheApplicationKept(t *testing.T) {
	cli := on(t)
	for _, topic := range []string{"in", "shop-sums-changelog", "shop-by-user-repartition", "shop-report", "shop-2-sums-changelog"} {
		cli("", "topic", "create", topic).expect(t, exitDone)
	}
	cli("a\n", "topic", "produce", "in").expect(t, exitDone)
	for _, app := range []string{"shop", "shop-2"} {
		cli("", "topic", "consume", "in", "-g", app, "-n", "1").expect(t, exitDone)
	}
	cli("", "app", "reset", "shop").expect(t, exitDone, "Would delete group shop.\n", "Would delete topic shop-sums-changelog.\n", "--yes")
	cli("", "topic", "describe", "shop-sums-changelog").expect(t, exitDone)

	cli("", "app", "reset", "shop", "--yes").expect(t, exitDone, "Deleted group shop.\nDeleted topic shop-by-user-repartition.\nDeleted topic shop-sums-changelog.\nRemove the StateDir")
	left := cli("", "topic", "list").expect(t, exitDone, "in ", "shop-2-sums-changelog ", "shop-report ")
	if strings.Contains(left.stdout, "shop-sums") || strings.Contains(left.stdout, "repartition") {
		t.Errorf("left:\n%s", left.stdout)
	}
	if groups := decode[[]groupSummary](t, cli("", "group", "list", "-o", "json")); len(groups) != 1 || groups[0].Group != "shop-2" {
		t.Errorf("groups left: %+v", groups)
	}
	cli("", "app", "reset", "shop", "--yes").expect(t, exitFailed).says(t, `no application "shop"`)
	r := decode[appRemains](t, cli("", "app", "reset", "shop-2", "--yes", "-o", "json"))
	if !r.Group || !r.Reset || !slices.Equal(r.Topics, []string{"shop-2-sums-changelog"}) {
		t.Errorf("answered %+v", r)
	}
}

func TestWhatRunsIsNotReset(t *testing.T) {
	address := serve(t, &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}})
	cli := func(stdin string, args ...string) outcome {
		return millrace(t, stdin, append(args, "--brokers", address)...)
	}
	cli("", "topic", "create", "in").expect(t, exitDone)
	cli("", "topic", "create", "shop-sums-changelog").expect(t, exitDone)
	cli("a\n", "topic", "produce", "in").expect(t, exitDone)
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumerGroup("shop"), kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if fetches := cl.PollFetches(ctx); fetches.Err() != nil || fetches.NumRecords() != 1 { // a member that reads
		t.Fatalf("%d records, %v", fetches.NumRecords(), fetches.Err())
	}
	cli("", "app", "reset", "shop", "--yes").expect(t, exitFailed).says(t, "application shop runs", "stop every instance")
	cli("", "group", "delete", "shop").expect(t, exitFailed).says(t, "NON_EMPTY_GROUP", "stop its members first")
	cli("", "topic", "describe", "shop-sums-changelog").expect(t, exitDone)
}

func TestGroupDelete(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders").expect(t, exitDone)
	cli("a\nb\n", "topic", "produce", "orders").expect(t, exitDone)
	for _, group := range []string{"readers", "others"} {
		cli("", "topic", "consume", "orders", "-g", group, "-n", "1").expect(t, exitDone)
	}
	cli("", "group", "delete", "reader").expect(t, exitFailed).says(t, `no group "reader"`, "did you mean readers?")
	cli("", "group", "delete", "readers").expect(t, exitDone, "Deleted group readers.\n")
	cli("", "group", "delete", "others", "-o", "json").expect(t, exitDone, `"group": "others"`, `"deleted": true`)
	cli("", "topic", "consume", "orders", "-g", "readers", "-n", "1").expect(t, exitDone, "a\n") // from the beginning again
}
