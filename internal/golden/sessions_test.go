package golden_test

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// emission is when a windowed aggregation of a case gives its results.
type emission struct {
	onClose bool
	every   time.Duration
}

func (in *interpreter) emission(op *caseOp) (e emission) {
	if op.Emit == "onWindowClose" {
		e = emission{onClose: true, every: ms(in.c.Config.EmitIntervalMs)}
	}
	return e
}

// se is a stream of a case divided into sessions.
type se struct {
	g       *gr[text]
	windows stream.SessionWindows
	emit    emission
}

func (w *se) by(op *caseOp) *stream.GroupedSessions[text, text] {
	g := stream.SessionBy(w.g.grouped(op.Store), w.windows)
	switch {
	case w.emit.every > 0:
		return g.EmitOnCloseEvery(w.emit.every)
	case w.emit.onClose:
		return g.EmitOnClose()
	}
	return g
}

func (w *se) count(in *interpreter, op *caseOp) tabler {
	spec := session(in, op, w.g.s.keys, serde.Int64)
	return &tb[stream.Windowed[text], int64]{t: ktable.CountSessions(w.by(op), spec),
		keys: serde.SessionWindowed(w.g.s.keys), values: serde.Int64, keyKind: str, kind: num}
}

func (w *se) aggregate(in *interpreter, op *caseOp, reduce bool) tabler {
	values := serde.Serde[text](textSerde{str})
	spec := session(in, op, w.g.s.keys, values)
	out := &tb[stream.Windowed[text], text]{keys: serde.SessionWindowed(w.g.s.keys), values: values, keyKind: str, kind: str}
	add := parseCombiner(op.Add)
	if reduce {
		out.t = ktable.ReduceSessionsCtx(w.by(op), func(_ context.Context, k text, sofar, v text) (text, error) { return add(k, sofar, v) }, spec)
		return out
	}
	merge := parseCombiner(op.Merge)
	out.t = ktable.AggregateSessionsCtx(w.by(op), func() text { return textOf(op.Init) },
		func(_ context.Context, k text, v, agg text) (text, error) { return add(k, agg, v) },
		func(_ context.Context, k text, earlier, later text) (text, error) { return merge(k, earlier, later) }, spec)
	return out
}

// session makes the handle of a session store with a case's options, and registers it.
func session[V any](in *interpreter, op *caseOp, keys serde.Serde[text], values serde.Serde[V]) *statestore.SessionSpec[text, V] {
	spec := statestore.Session(op.Store, keys, values)
	if op.Retention != nil {
		spec = spec.Retain(ms(*op.Retention))
	}
	if op.Cache != nil && !*op.Cache {
		spec = spec.WithoutCache()
	}
	if op.Logging != nil && !*op.Logging {
		spec = spec.WithoutChangelog()
	}
	if op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory" {
		spec = spec.InMemory()
	}
	entry := func(e statestore.SessionEntry[text, V]) storeEntry {
		key := keyText(stream.Windowed[text]{Key: e.Key, Start: e.Start, End: e.End})
		return storeEntry{Key: key.ptr(), Value: valueText(e.Value).ptr()}
	}
	in.stores[op.Store] = storeReader{
		all: func(m machine) (out []storeEntry, err error) {
			sessions, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			var all []listed
			for e, err := range sessions.All() {
				if err != nil {
					return nil, err
				}
				all = append(all, listed{entry(e), e.End})
			}
			return in.inLibraryOrder(op, true, all), nil
		},
		query: func(m machine, s *caseStep) (out []storeEntry, err error) {
			sessions, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			for e, err := range sessions.Fetch(textOf(s.Key)) {
				if err != nil {
					return nil, err
				}
				out = append(out, entry(e))
			}
			return out, nil
		},
	}
	return spec
}
