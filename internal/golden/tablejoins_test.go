package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func (t *tb[K, V]) join(in *interpreter, right tabler, op *caseOp) tabler {
	switch right := right.(type) {
	case *tb[K, text]:
		return joinTables(in, t, right, op)
	case *tb[K, int64]:
		return joinTables(in, t, right, op)
	}
	skip("join of %T and %T", t, right)
	return nil
}

// rowText is the text of a row, null when there is none.
func rowText[V any](v V, has bool) text {
	if !has {
		return text{}
	}
	return valueText(v)
}

func joinTables[K, V, W any](in *interpreter, l *tb[K, V], r *tb[K, W], op *caseOp) tabler {
	values := serde.Serde[text](textSerde{str})
	var stores []statestore.TableSpec[K, text]
	if op.Store != "" {
		stores = append(stores, rowsOf(in, op, l.keys, values))
	}
	f := parseCombiner(op.Joiner)
	out := &tb[K, text]{keys: l.keys, values: values, keyKind: l.keyKind, kind: str}
	switch op.Op {
	case "join":
		out.t = ktable.JoinCtx(l.t, r.t, func(_ context.Context, k K, v V, w W) (text, error) { return f(keyText(k), valueText(v), valueText(w)) }, stores...)
	case "leftJoin":
		out.t = ktable.LeftJoinCtx(l.t, r.t, func(_ context.Context, k K, v V, w W, found bool) (text, error) {
			return f(keyText(k), valueText(v), rowText(w, found))
		}, stores...)
	case "outerJoin":
		out.t = ktable.OuterJoinCtx(l.t, r.t, func(_ context.Context, k K, v V, w W, has stream.Sides) (text, error) {
			return f(keyText(k), rowText(v, has.Left()), rowText(w, has.Right()))
		}, stores...)
	}
	return out
}

func (t *tb[K, V]) joinForeign(in *interpreter, right tabler, op *caseOp) tabler {
	switch right := right.(type) {
	case *tb[text, text]:
		return joinForeign(in, t, right, op)
	case *tb[text, int64]:
		return joinForeign(in, t, right, op)
	}
	skip("foreign-key join of %T and %T", t, right)
	return nil
}

func joinForeign[K, V, W any](in *interpreter, l *tb[K, V], r *tb[text, W], op *caseOp) tabler {
	values := serde.Serde[text](textSerde{str})
	var stores []statestore.TableSpec[K, text]
	switch {
	case op.Store != "":
		stores = append(stores, rowsOf(in, op, l.keys, values))
	case in.lookedUp(op.ID):
		stores = append(stores, statestore.KeyValue(op.ID+"-unnamed", l.keys, values))
	}
	name := op.Name
	if name == "" {
		name = op.ID
	}
	via := ktable.NewForeignKey(name, l.keys, l.values, r.keys, r.values)
	f, e := parseCombiner(op.Joiner), parseExpr(op.ForeignKey)
	foreignKey := func(_ context.Context, k K, v V) (text, bool, error) {
		fk, err := e.str(keyText(k), valueText(v))
		return fk, true, err
	}
	out := &tb[K, text]{keys: l.keys, values: values, keyKind: l.keyKind, kind: str}
	if op.Op == "join" {
		out.t = ktable.JoinForeignCtx(l.t, r.t, foreignKey, func(_ context.Context, k K, v V, w W) (text, error) {
			return f(keyText(k), valueText(v), valueText(w))
		}, via, stores...)
	} else {
		out.t = ktable.LeftJoinForeignCtx(l.t, r.t, foreignKey, func(_ context.Context, k K, v V, w W, found bool) (text, error) {
			return f(keyText(k), valueText(v), rowText(w, found))
		}, via, stores...)
	}
	return out
}
