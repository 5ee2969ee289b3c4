package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

func TestGroupListAndDescribe(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders", "-p", "2").expect(t, exitDone)
	cli("a\nb\nc\n", "topic", "produce", "orders", "-p", "1").expect(t, exitDone)
	cli("", "topic", "consume", "orders", "-g", "readers", "-n", "2").expect(t, exitDone)
	cli("", "group", "list").expect(t, exitDone, "GROUP    STATE  PROTOCOL-TYPE  COORDINATOR\n", "readers  Empty  consumer       1\n")
	o := cli("", "group", "describe", "readers").expect(t, exitDone, "Group: readers\tState: Empty\t", "Members: 0\tLag: 1\n",
		"GROUP    TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID\n")
	found := false
	for line := range strings.Lines(o.stdout) {
		f := strings.Fields(line)
		found = found || len(f) == 9 && f[0] == "readers" && f[2] == "1" && f[3] == "2" && f[4] == "3" && f[5] == "1" && f[6] == "-"
	}
	if !found {
		t.Errorf("no row for partition 1 at 2 of 3:\n%s", o.stdout)
	}
	described := decode[[]describedGroup](t, cli("", "group", "describe", "readers", "-o", "json"))
	if len(described) != 1 || described[0].Lag != 1 || described[0].State != "Empty" {
		t.Errorf("described %+v", described)
	}
	if listed := decode[[]groupSummary](t, cli("", "group", "list", "-o", "json")); len(listed) != 1 || listed[0].Group != "readers" {
		t.Errorf("listed %+v", listed)
	}
	cli("", "group", "describe", "reader").expect(t, exitFailed).says(t, `no group "reader"`, "did you mean readers?")
	cli("", "group", "describe", "zzz").expect(t, exitFailed).says(t, "GROUP_ID_NOT_FOUND", "millrace group list")
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

func TestAGroupWithMembersIsNotDeleted(t *testing.T) {
	address := serve(t, &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}})
	cli := func(stdin string, args ...string) outcome {
		return millrace(t, stdin, append(args, "--brokers", address)...)
	}
	cli("", "topic", "create", "in").expect(t, exitDone)
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
	cli("", "group", "delete", "shop").expect(t, exitFailed).says(t, "NON_EMPTY_GROUP", "stop its members first")
	cli("", "group", "describe", "shop").expect(t, exitDone)
}

func TestShellsCompleteNamesThatAreThere(t *testing.T) {
	address := serve(t, &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}})
	complete := func(args ...string) string {
		return millrace(t, "", append([]string{"__complete", "--brokers", address}, args...)...).expect(t, exitDone).stdout
	}
	cli := func(stdin string, args ...string) {
		millrace(t, stdin, append(args, "--brokers", address)...).expect(t, exitDone)
	}
	cli("", "topic", "create", "orders", "payments")
	cli("x\n", "topic", "produce", "orders")
	cli("", "topic", "consume", "orders", "-g", "readers", "-n", "1")
	for line, want := range map[string]string{
		"topic describe ":        "orders\npayments\n:4\n",
		"topic describe orders ": "payments\n:4\n",
		"topic consume orders ":  ":4\n",
		"group describe ":        "readers\n:4\n",
		"group delete ":          "readers\n:4\n",
		"topic list ":            ":0\n",
	} {
		if got := complete(strings.Split(line, " ")...); got != want {
			t.Errorf("%q is completed by %q, want %q", line, got, want)
		}
	}
}
