package golden_test

import (
	"context"
	"iter"
	"slices"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// st is a stream of a case. Functions that cannot fail are given in the plain form, others in that with Ctx, so that both are tried.
type st[K any] struct {
	s       *stream.Stream[K, text]
	keys    serde.Serde[K]
	keyKind kind
	kind    kind // of the values
}

func (s *st[K]) with(out *stream.Stream[K, text], kind kind) *st[K] {
	return &st[K]{s: out, keys: s.keys, keyKind: s.keyKind, kind: kind}
}

func (s *st[K]) filter(p func(k, v text) (bool, error), want bool) streamer {
	if !want {
		return s.with(stream.FilterNot(s.s, func(k K, v text) bool {
			ok, err := p(keyText(k), v)
			if err != nil {
				panic(err)
			}
			return ok
		}), s.kind)
	}
	return s.with(stream.FilterCtx(s.s, func(_ context.Context, k K, v text) (bool, error) { return p(keyText(k), v) }), s.kind)
}

func (s *st[K]) mapBoth(op *caseOp) streamer {
	kind, value := s.kind, func(_, v text) (text, error) { return v, nil }
	if op.Value != nil {
		kind, value = str, parseExpr(*op.Value).str
	}
	if op.Key == nil {
		return s.with(stream.MapCtx(s.s, func(_ context.Context, k K, v text) (K, text, error) {
			w, err := value(keyText(k), v)
			return k, w, err
		}), kind)
	}
	key := parseExpr(*op.Key)
	return text2(stream.MapCtx(s.s, func(_ context.Context, k K, v text) (text, text, error) {
		k2, err := key.str(keyText(k), v)
		if err != nil {
			return text{}, text{}, err
		}
		v2, err := value(keyText(k), v)
		return k2, v2, err
	}), kind)
}

// text2 is a stream whose keys are strings.
func text2(s *stream.Stream[text, text], kind kind) *st[text] {
	return &st[text]{s: s, keys: textSerde{str}, keyKind: str, kind: kind}
}

func (s *st[K]) mapValues(e expr) streamer {
	return s.with(stream.MapValuesCtx(s.s, func(_ context.Context, k K, v text) (text, error) { return e.str(keyText(k), v) }), str)
}

func (s *st[K]) selectKey(e expr) streamer {
	return text2(stream.SelectKeyCtx(s.s, func(_ context.Context, k K, v text) (text, error) { return e.str(keyText(k), v) }), s.kind)
}

func (s *st[K]) flatMap(op *caseOp) streamer {
	list, key, value := parseList(op.List), parseExpr("key"), parseExpr("value")
	if op.Key != nil {
		key = parseExpr(*op.Key)
	}
	if op.Value != nil {
		value = parseExpr(*op.Value)
	}
	return text2(stream.FlatMapCtx(s.s, func(_ context.Context, k K, v text, yield func(text, text) bool) error {
		type pair struct{ k, v text }
		var all []pair
		for _, e := range list(v) {
			k2, err := key.str(keyText(k), e)
			if err != nil {
				return err
			}
			v2, err := value.str(keyText(k), e)
			if err != nil {
				return err
			}
			all = append(all, pair{k2, v2})
		}
		for _, p := range all {
			if !yield(p.k, p.v) {
				break
			}
		}
		return nil
	}), str)
}

func (s *st[K]) flatMapValues(list string) streamer {
	f := parseList(list)
	return s.with(stream.FlatMapValues(s.s, func(v text) iter.Seq[text] {
		var out []text
		for _, e := range f(v) {
			e, _ = asString(e, nil)
			out = append(out, e)
		}
		return slices.Values(out)
	}), str)
}

func (s *st[K]) peek(e expr, end bool) streamer {
	f := func(_ context.Context, k K, v text) error {
		_, err := e(keyText(k), v)
		return err
	}
	if end {
		stream.ForEachCtx(s.s, f)
		return nil
	}
	return s.with(stream.PeekCtx(s.s, f), s.kind)
}

func (s *st[K]) merge(o streamer) streamer {
	other := o.(*st[K])
	return s.with(stream.Merge(s.s, other.s), s.kind)
}

// via is the repartition topic of a name.
func (s *st[K]) via(name string) stream.Topic[K, text] {
	return stream.NewTopic(name, s.keys, serde.Serde[text](textSerde{s.kind}))
}

func (s *st[K]) repartition(op *caseOp) streamer {
	return s.with(stream.Repartition(s.s, s.via(op.Name).Partitions(op.Partitions)), s.kind)
}

func (s *st[K]) toTable(in *interpreter, op *caseOp) tabler {
	values := serde.Serde[text](textSerde{s.kind})
	var spec *statestore.KeyValueSpec[K, text]
	name := op.Name
	if name == "" {
		name = op.ID
	}
	switch {
	case op.Versioned != nil:
		t := ktable.ToTableVersioned(s.s, versioned(in, op, s.keys, values), s.via(name))
		return &tb[K, text]{t: t, keys: s.keys, values: values, keyKind: s.keyKind, kind: s.kind}
	case op.Store != "":
		spec = keyValue(op, in.c.Config, statestore.KeyValue(op.Store, s.keys, values))
		named(in, op, spec)
	case in.lookedUp(op.ID):
		spec = statestore.KeyValue(op.ID+"-unnamed", s.keys, values)
	}
	return &tb[K, text]{t: ktable.ToTable(s.s, spec, s.via(name)), keys: s.keys, values: values, keyKind: s.keyKind, kind: s.kind}
}

func (s *st[K]) groupByKey(op *caseOp) grouper {
	return &gr[K]{s: s, name: op.Name, group: func(name string) *stream.Grouped[K, text] { return stream.GroupByKey(s.s, s.via(name)) }}
}

func (s *st[K]) groupBy(op *caseOp) grouper {
	e := parseExpr(*op.Key)
	out := text2(nil, s.kind)
	return &gr[text]{s: out, name: op.Name, group: func(name string) *stream.Grouped[text, text] {
		return stream.GroupByCtx(s.s, func(_ context.Context, k K, v text) (text, error) { return e.str(keyText(k), v) }, out.via(name))
	}}
}

func (s *st[K]) to(in *interpreter, topic string) {
	stream.To(s.s, s.topic(topic))
	in.sinks[topic] = s.shown
}

func (s *st[K]) toBy(in *interpreter, op *caseOp) {
	name := parseExpr(op.TopicFrom)
	stream.ToByCtx(s.s, func(_ context.Context, k K, v text) (stream.Topic[K, text], error) {
		x, err := name(keyText(k), v)
		return s.topic(x.s), err
	})
	for _, step := range in.c.Steps {
		for _, r := range step.Expect.Out {
			if in.sinks[r.Topic] == nil {
				in.sinks[r.Topic] = s.shown
			}
		}
	}
}

func (s *st[K]) topic(name string) stream.Topic[K, text] {
	return stream.NewTopic(name, s.keys, serde.Serde[text](textSerde{s.kind}))
}

// shown is a record that the stream wrote, as the case shows it.
func (s *st[K]) shown(raw *runtimetest.RawRecord) (o outRecord, err error) {
	if raw.Key != nil {
		k, err := s.keys.Decode(raw.Key)
		if err != nil {
			return o, err
		}
		o.Key = keyText(k).ptr()
	}
	if raw.Value != nil {
		v, err := textSerde{s.kind}.Decode(raw.Value)
		if err != nil {
			return o, err
		}
		o.Value = v.ptr()
	}
	return o, nil
}

func (s *st[K]) split(in *interpreter, op *caseOp) any {
	parts := stream.Split(s.s)
	for _, b := range op.Branches {
		in.nodes[b.ID] = s.with(parts.BranchCtx(b.ID, func(_ context.Context, k K, v text) (bool, error) { return parsePredicate(b.If)(keyText(k), v) }), s.kind)
	}
	if op.Default != "" {
		in.nodes[op.Default] = s.with(parts.Default(op.Default), s.kind)
	}
	return nil
}

func (s *st[K]) join(t tabler, op *caseOp, left bool) streamer {
	name := op.Name
	if name == "" {
		name = op.ID
	}
	switch t := t.(type) {
	case *tb[K, text]:
		return joinTable(s, t, op, name, left)
	case *tb[K, int64]:
		return joinTable(s, t, op, name, left)
	}
	skip("join of %T and %T", s, t)
	return nil
}

func joinTable[K, V any](s *st[K], t *tb[K, V], op *caseOp, name string, left bool) streamer {
	f := parseCombiner(op.Joiner)
	if op.Grace != nil {
		return joinLate(s, t, op, name, left)
	}
	if left {
		return s.with(ktable.LeftJoinStreamCtx(s.s, t.t, func(_ context.Context, k K, v text, row V, found bool) (text, error) {
			right := text{}
			if found {
				right = valueText(row)
			}
			return f(keyText(k), v, right)
		}, s.via(name)), str)
	}
	return s.with(ktable.JoinStreamCtx(s.s, t.t, func(_ context.Context, k K, v text, row V) (text, error) {
		return f(keyText(k), v, valueText(row))
	}, s.via(name)), str)
}
