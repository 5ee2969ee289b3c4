package ktable_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Functions without a context and an error, whose siblings with both the golden files drive.
func TestPlainFormsDoWhatTheirNamesSay(t *testing.T) {
	type grouped = *stream.Grouped[string, string]
	type table = *ktable.Table[string, string]
	past := statestore.Versioned("S", serde.String, serde.String, time.Hour)
	nothing := func() string { return "" }
	for name, c := range map[string]struct {
		build func(g grouped) table
		want  []string
	}{
		"ReduceVersioned": {func(g grouped) table {
			return ktable.ReduceVersioned(g, func(sofar, v string) string { return sofar + v }, past)
		}, []string{"k=a@1", "k=ab@2", "q=c@3"}},
		"AggregateVersioned": {func(g grouped) table {
			return ktable.AggregateVersioned(g, nothing, func(k, v, sofar string) string { return sofar + k + v }, past)
		}, []string{"k=ka@1", "k=kakb@2", "q=qc@3"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, out := stream.NewBuilder(), text("out")
			stream.To(ktable.ToStream(c.build(stream.GroupByKey(stream.From(b, text("in"))))), out)
			d := run(b)
			defer d.Close()
			feed(t, d, "in", "k=a@1", "k=b@2", "q=c@3")
			expect(t, d, out, c.want...)
		})
	}
}

func TestCogroupSessionsMergesTheEarlierFirst(t *testing.T) {
	b, out := stream.NewBuilder(), stream.NewTopic("out", serde.SessionWindowed(serde.String), serde.String)
	sessions := ktable.CogroupSessions(stream.Sessions(10*time.Millisecond).Grace(time.Minute), func() string { return "" },
		func(_, earlier, later string) string { return earlier + "|" + later }, statestore.Session("S", serde.String, serde.String),
		ktable.Add(stream.GroupByKey(stream.From(b, text("in"))), func(_, v, sofar string) string { return sofar + v }))
	stream.To(ktable.ToStream(sessions), out)
	d := run(b)
	defer d.Close()
	feed(t, d, "in", "k=a@1", "k=b@15", "k=c@8")
	expect(t, d, out, "k[1,1)=a@1", "k[15,15)=b@15", "k[1,1)=∅@1", "k[15,15)=∅@15", "k[1,15)=|a|bc@15")
}

func TestLeftJoinKeepsRowsWithoutAPartner(t *testing.T) {
	b, out := stream.NewBuilder(), text("out")
	joined := ktable.LeftJoin(ktable.From(b, text("left"), texts("L")), ktable.From(b, text("right"), texts("R")), func(l, r string, found bool) string {
		if !found {
			return l + " alone"
		}
		return l + r
	})
	stream.To(ktable.ToStream(joined), out)
	d := run(b)
	defer d.Close()
	feed(t, d, "left", "k=a@1")
	feed(t, d, "right", "k=x@2", "k=∅@3", "q=y@4")
	feed(t, d, "left", "q=b@5", "q=∅@6")
	expect(t, d, out, "k=a alone@1", "k=ax@2", "k=a alone@3", "q=by@5", "q=∅@6")
}
