package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
)

func (in *interpreter) global(op *caseOp) *ktable.GlobalTable[text, text] {
	topic, opts := in.topic(op.Topic, op.Timestamps)
	spec := keyValue(op, in.c.Config, statestore.KeyValue(op.Store, topic.KeySerde(), topic.ValueSerde()))
	t := ktable.FromGlobal(in.b, topic, spec, opts...)
	named(in, op, spec)
	return t
}

// joinGlobal joins with a global table.
func (s *st[K]) joinGlobal(in *interpreter, op *caseOp) streamer {
	t := in.nodes[op.With].(*ktable.GlobalTable[text, text])
	key, f := parseExpr(op.MapKey), parseCombiner(op.Joiner)
	mapped := func(_ context.Context, k K, v text) (text, error) { return key.str(keyText(k), v) }
	if op.Op == "join" {
		return s.with(ktable.JoinGlobalCtx(s.s, t, mapped, func(_ context.Context, k K, v, row text) (text, error) { return f(keyText(k), v, row) }), str)
	}
	return s.with(ktable.LeftJoinGlobalCtx(s.s, t, mapped, func(_ context.Context, k K, v, row text, _ bool) (text, error) { return f(keyText(k), v, row) }), str)
}
