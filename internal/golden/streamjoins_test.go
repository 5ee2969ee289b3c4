package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func (w *caseWindow) within() stream.JoinWindow {
	d := stream.Within(ms(w.Diff))
	if w.Before != 0 || w.After != 0 {
		d = d.Before(ms(w.Before)).After(ms(w.After))
	}
	return d.Grace(ms(w.Grace))
}

func (s *st[K]) joinStream(in *interpreter, right streamer, op *caseOp) streamer {
	r, ok := right.(*st[K])
	if !ok {
		skip("join of %T and %T", s, right)
	}
	name := op.Name
	if name == "" {
		name = op.ID
	}
	window := op.Window.within().EmitEvery(ms(in.c.Config.EmitIntervalMs))
	state := stream.NewJoinState(name, s.keys, serde.Serde[text](textSerde{s.kind}), serde.Serde[text](textSerde{r.kind}))
	if in.c.Config.StoreType == "inMemory" {
		state = state.InMemory()
	}
	kind := op.Op
	if in.c.Config.Optimization == "all" && s.s == r.s {
		kind, state = "join", state.OneStore() // the library makes inner joins of the others too, although that drops what has no key
	}
	f := parseCombiner(op.Joiner)
	switch kind {
	case "join":
		return s.with(stream.JoinCtx(s.s, r.s, func(_ context.Context, k K, l, r text) (text, error) { return f(keyText(k), l, r) }, window, state), str)
	case "leftJoin":
		return s.with(stream.LeftJoinCtx(s.s, r.s, func(_ context.Context, k K, l, r text, _ bool) (text, error) {
			return f(keyText(k), l, r)
		}, window, state), str)
	}
	return s.with(stream.OuterJoinCtx(s.s, r.s, func(_ context.Context, k K, l, r text, _ stream.Sides) (text, error) {
		return f(keyText(k), l, r)
	}, window, state), str)
}
