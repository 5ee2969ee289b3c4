package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// tg is a grouped table of a case. Its keys are strings, as all that functions give; its values too, unless the case has no function for them.
type tg struct {
	name  string
	group func(name string) *ktable.GroupedRows[text, text]
}

func (t *tb[K, V]) groupBy(op *caseOp) rowGrouper {
	key := parseExpr(*op.Key)
	kind, value := t.kind, func(_, v text) (text, error) { return v, nil }
	if op.Value != nil {
		kind, value = str, parseExpr(*op.Value).str
	}
	return &tg{name: op.Name, group: func(name string) *ktable.GroupedRows[text, text] {
		via := stream.NewTopic(name, serde.Serde[text](textSerde{str}), serde.Serde[text](textSerde{kind}))
		return ktable.GroupByCtx(t.t, func(_ context.Context, k K, v V) (text, text, error) {
			k2, err := key.str(keyText(k), valueText(v))
			if err != nil {
				return text{}, text{}, err
			}
			v2, err := value(keyText(k), valueText(v))
			return k2, v2, err
		}, via)
	}}
}

func (g *tg) grouped(store string) *ktable.GroupedRows[text, text] {
	if g.name != "" {
		return g.group(g.name)
	}
	return g.group(store)
}

func (g *tg) count(in *interpreter, op *caseOp) tabler {
	spec := rowsOf(in, op, serde.Serde[text](textSerde{str}), serde.Int64)
	return &tb[text, int64]{t: ktable.CountRows(g.grouped(op.Store), spec), keys: textSerde{str}, values: serde.Int64, keyKind: str, kind: num}
}

func (g *tg) aggregate(in *interpreter, op *caseOp, reduce bool) tabler {
	values := serde.Serde[text](textSerde{str})
	spec := rowsOf(in, op, values, values)
	out := &tb[text, text]{keys: values, values: values, keyKind: str, kind: str}
	add, subtract := parseCombiner(op.Add), parseCombiner(op.Subtract)
	if reduce {
		out.t = ktable.ReduceRowsCtx(g.grouped(op.Store), func(_ context.Context, k, sofar, v text) (text, error) { return add(k, sofar, v) },
			func(_ context.Context, k, sofar, v text) (text, error) { return subtract(k, sofar, v) }, spec)
	} else {
		out.t = ktable.AggregateRowsCtx(g.grouped(op.Store), func() text { return textOf(op.Init) },
			func(_ context.Context, k, v, agg text) (text, error) { return add(k, agg, v) },
			func(_ context.Context, k, v, agg text) (text, error) { return subtract(k, agg, v) }, spec)
	}
	return out
}
