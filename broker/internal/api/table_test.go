package api

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write APIS.md anew")

const document = "APIS.md"

func TestTableIsSortedAndWithinWhatTheMessagesKnow(t *testing.T) {
	rows := Table()
	if !slices.IsSortedFunc(rows, func(a, b API) int { return int(a.Key) - int(b.Key) }) {
		t.Error("the rows are not in order of key")
	}
	for i, row := range rows {
		name := kmsg.NameForKey(row.Key)
		req := kmsg.RequestForKey(row.Key)
		switch {
		case req == nil:
			t.Errorf("key %d is no request", row.Key)
			continue
		case i > 0 && rows[i-1].Key == row.Key:
			t.Errorf("%s has two rows", name)
		case row.Handle == nil:
			t.Errorf("%s has no handler", name)
		case row.Min < 0 || row.Min > row.Max || row.Max > req.MaxVersion():
			t.Errorf("%s is served in versions %d to %d, its messages know 0 to %d", name, row.Min, row.Max, req.MaxVersion())
		case row.ListedFromZero && row.Key != int16(kmsg.Produce):
			t.Errorf("%s tells a version that it does not serve; only Produce has a reason to", name)
		}
		if open := slices.Contains([]int16{17, 18, 36}, row.Key); open == (len(row.Needs) > 0) {
			t.Errorf("%s: only what comes before a login needs no permission (open %t, needs %v)", name, open, row.Needs)
		}
	}
}

func TestTableIsDocumented(t *testing.T) {
	want := renderTable(Table())
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s does not say what the table says; run go test ./broker/internal/api -run Documented -update", document)
	}
}

func renderTable(rows []API) string {
	var b strings.Builder
	b.WriteString("# What is served\n\nWritten by a test from the table in this package. Everything else closes the connection.\n\n")
	b.WriteString("| key | request | versions | needs |\n|---:|---|---|---|\n")
	for _, r := range rows {
		versions := fmt.Sprintf("%d–%d", r.Min, r.Max)
		if r.ListedFromZero {
			versions += fmt.Sprintf(" (tells 0–%d)", r.Max)
		}
		var needs []string
		for _, p := range r.Needs {
			needs = append(needs, fmt.Sprintf("%s %s", operationNames[p.Op], scopeNames[p.Scope]))
		}
		if needs == nil {
			needs = []string{"nothing"}
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.Key, kmsg.NameForKey(r.Key), versions, strings.Join(needs, ", "))
	}
	return b.String()
}

var operationNames = map[Operation]string{
	OpRead: "Read", OpWrite: "Write", OpCreate: "Create", OpDelete: "Delete", OpAlter: "Alter", OpDescribe: "Describe",
	OpClusterAction: "ClusterAction", OpDescribeConfigs: "DescribeConfigs", OpAlterConfigs: "AlterConfigs", OpIdempotentWrite: "IdempotentWrite",
}

var scopeNames = map[Scope]string{ScopeTopic: "Topic", ScopeGroup: "Group", ScopeCluster: "Cluster", ScopeTransactionalID: "TransactionalId"}
