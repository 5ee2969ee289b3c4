package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// joinLate is a join of a stream whose records wait for a versioned table.
func joinLate[K, V any](s *st[K], t *tb[K, V], op *caseOp, name string, left bool) streamer {
	f := parseCombiner(op.Joiner)
	wait := ktable.WaitIn(statestore.GraceBuffer(name+"-Buffer", s.keys, serde.Serde[text](textSerde{s.kind})), ms(*op.Grace))
	if left {
		return s.with(ktable.LeftJoinStreamLateCtx(s.s, t.t, func(_ context.Context, k K, v text, row V, found bool) (text, error) {
			return f(keyText(k), v, rowText(row, found))
		}, wait, s.via(name)), str)
	}
	return s.with(ktable.JoinStreamLateCtx(s.s, t.t, func(_ context.Context, k K, v text, row V) (text, error) {
		return f(keyText(k), v, valueText(row))
	}, wait, s.via(name)), str)
}
