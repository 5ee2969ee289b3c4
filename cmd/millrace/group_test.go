package main

import (
	"strings"
	"testing"

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
		"app reset ":             "readers\n:4\n",
		"topic list ":            ":0\n",
	} {
		if got := complete(strings.Split(line, " ")...); got != want {
			t.Errorf("%q is completed by %q, want %q", line, got, want)
		}
	}
}
