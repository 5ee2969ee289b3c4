package golden_test

import (
	"context"
	"math"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// tb is a table of a case: rows are texts, or the int64 of a count.
type tb[K, V any] struct {
	t       *ktable.Table[K, V]
	keys    serde.Serde[K]
	values  serde.Serde[V]
	keyKind kind
	kind    kind
}

func (in *interpreter) table(op *caseOp) tabler {
	topic, opts := in.topic(op.Topic, op.Timestamps)
	types := in.c.Topics[op.Topic]
	if op.Versioned != nil {
		return in.versionedTable(op, topic, opts)
	}
	var spec *statestore.KeyValueSpec[text, text]
	switch {
	case op.Store != "":
		spec = keyValue(op, in.c.Config, statestore.KeyValue(op.Store, topic.KeySerde(), topic.ValueSerde()))
	case in.lookedUp(op.ID):
		spec = statestore.KeyValue(op.ID+"-unnamed", topic.KeySerde(), topic.ValueSerde())
	}
	// A topic whose records get other times is refused as a changelog, and so is one for a store that is to have none.
	if in.c.Config.Optimization == "all" && spec != nil && op.Timestamps == "" && (op.Logging == nil || *op.Logging) {
		opts = append(opts, stream.AsChangelog())
	}
	t := &tb[text, text]{t: ktable.From(in.b, topic, spec, opts...), keys: topic.KeySerde(), values: topic.ValueSerde(), keyKind: kindOf(types.Key), kind: kindOf(types.Value)}
	named(in, op, spec)
	return t
}

// lookedUp tells whether a table that the case gives no store needs one all the same, because something below reads its rows.
func (in *interpreter) lookedUp(id string) bool {
	for _, op := range in.c.Topology {
		switch op.Op {
		case "join", "leftJoin", "outerJoin":
			if op.With == id || op.Of == id {
				return true
			}
		case "groupBy", "suppress":
			if op.Of == id {
				return true
			}
		case "filter", "filterNot", "mapValues", "transformValues":
			if op.Of == id && in.lookedUp(op.ID) {
				return true
			}
		}
	}
	return false
}

// named registers a store for queries and for the end of the case.
func named[K, V any](in *interpreter, op *caseOp, spec *statestore.KeyValueSpec[K, V]) {
	if op.Store == "" {
		return
	}
	entry := func(e statestore.Entry[K, V]) storeEntry {
		return storeEntry{Key: keyText(e.Key).ptr(), Value: valueText(e.Value).ptr(), TS: &e.Timestamp}
	}
	in.readables[op.Store] = readableRows(spec, true)
	in.stores[op.Store] = storeReader{
		all: func(m machine) (out []storeEntry, err error) {
			rows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			for e, err := range rows.All() {
				if err != nil {
					return nil, err
				}
				out = append(out, entry(e))
			}
			return out, nil
		},
		query: func(m machine, s *caseStep) (out []storeEntry, err error) {
			rows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			if s.Key != nil {
				key, ok := any(textOf(s.Key)).(K)
				if !ok {
					skip("query by a windowed key")
				}
				v, ts, found, err := rows.GetWithTime(key)
				if err != nil || !found {
					return nil, err
				}
				return []storeEntry{{Key: s.Key, Value: valueText(v).ptr(), TS: &ts}}, nil
			}
			for e, err := range rows.All() {
				if err != nil {
					return nil, err
				}
				k := keyText(e.Key).String()
				if s.Range[0] != nil && k < *s.Range[0] || s.Range[1] != nil && k > *s.Range[1] {
					continue
				}
				out = append(out, entry(e))
			}
			return out, nil
		},
	}
}

func (t *tb[K, V]) filter(in *interpreter, op *caseOp, want bool) tabler {
	p := parsePredicate(op.If)
	var stores []statestore.TableSpec[K, V]
	if op.Store != "" {
		stores = append(stores, rowsOf(in, op, t.keys, t.values))
	}
	out := *t
	if want {
		out.t = ktable.FilterCtx(t.t, func(_ context.Context, k K, v V) (bool, error) { return p(keyText(k), valueText(v)) }, stores...)
	} else {
		out.t = ktable.FilterNot(t.t, func(k K, v V) bool {
			ok, err := p(keyText(k), valueText(v))
			if err != nil {
				panic(err)
			}
			return ok
		}, stores...)
	}
	return &out
}

func (t *tb[K, V]) mapValues(in *interpreter, op *caseOp) tabler {
	e := parseExpr(*op.Value)
	var stores []statestore.TableSpec[K, text]
	values := serde.Serde[text](textSerde{str})
	if op.Store != "" {
		stores = append(stores, rowsOf(in, op, t.keys, values))
	}
	m := ktable.MapValuesCtx(t.t, func(_ context.Context, k K, v V) (text, error) { return e.str(keyText(k), valueText(v)) }, stores...)
	return &tb[K, text]{t: m, keys: t.keys, values: values, keyKind: t.keyKind, kind: str}
}

func (t *tb[K, V]) transformValues(in *interpreter, op *caseOp) tabler {
	e := parseExpr(*op.Value)
	var spec statestore.TableSpec[K, text]
	values := serde.Serde[text](textSerde{str})
	if op.Store != "" {
		spec = rowsOf(in, op, t.keys, values)
	}
	m := ktable.TransformValues(t.t, func(*stream.Operator) func(K, V, bool) (text, bool, error) {
		return func(k K, v V, found bool) (text, bool, error) {
			var x text
			if found {
				x = valueText(v)
			}
			x, err := e.str(keyText(k), x)
			return x, true, err
		}
	}, spec)
	return &tb[K, text]{t: m, keys: t.keys, values: values, keyKind: t.keyKind, kind: str}
}

func (t *tb[K, V]) toStream() streamer {
	s := stream.MapValues(stream.Nullable(ktable.ToStream(t.t)), func(v *V) text {
		if v == nil {
			return text{}
		}
		return valueText(*v)
	})
	return &st[K]{s: s, keys: t.keys, keyKind: t.keyKind, kind: t.kind}
}

// gr is a grouped stream of a case; the repartition topic is named by the case or by the store of the aggregation.
type gr[K any] struct {
	s     *st[K]
	name  string
	group func(name string) *stream.Grouped[K, text]
	made  *stream.Grouped[K, text] // when the case names the topic, all aggregations share it
}

func (g *gr[K]) grouped(store string) *stream.Grouped[K, text] {
	if g.name == "" {
		return g.group(store)
	}
	if g.made == nil {
		g.made = g.group(g.name)
	}
	return g.made
}

func (g *gr[K]) count(in *interpreter, op *caseOp) tabler {
	if op.Versioned != nil {
		spec := versioned(in, op, g.s.keys, serde.Int64)
		return &tb[K, int64]{t: ktable.CountVersioned(g.grouped(op.Store), spec), keys: g.s.keys, values: serde.Int64, keyKind: g.s.keyKind, kind: num}
	}
	spec := keyValue(op, in.c.Config, statestore.KeyValue(op.Store, g.s.keys, serde.Int64))
	named(in, op, spec)
	return &tb[K, int64]{t: ktable.Count(g.grouped(op.Store), spec), keys: g.s.keys, values: serde.Int64, keyKind: g.s.keyKind, kind: num}
}

func (g *gr[K]) aggregate(in *interpreter, op *caseOp, reduce bool) tabler {
	values := serde.Serde[text](textSerde{str})
	out := &tb[K, text]{keys: g.s.keys, values: values, keyKind: g.s.keyKind, kind: str}
	f := parseCombiner(op.Add)
	combine := func(_ context.Context, k K, sofar, v text) (text, error) { return f(keyText(k), sofar, v) }
	init := func() text { return textOf(op.Init) }
	add := func(_ context.Context, k K, v, agg text) (text, error) { return f(keyText(k), agg, v) }
	if op.Versioned != nil {
		if spec := versioned(in, op, g.s.keys, values); reduce {
			out.t = ktable.ReduceVersionedCtx(g.grouped(op.Store), combine, spec)
		} else {
			out.t = ktable.AggregateVersionedCtx(g.grouped(op.Store), init, add, spec)
		}
		return out
	}
	spec := keyValue(op, in.c.Config, statestore.KeyValue(op.Store, g.s.keys, values))
	named(in, op, spec)
	if reduce {
		out.t = ktable.ReduceCtx(g.grouped(op.Store), combine, spec)
	} else {
		out.t = ktable.AggregateCtx(g.grouped(op.Store), init, add, spec)
	}
	return out
}

// wi is a windowed stream of a case.
type wi struct {
	g       *gr[text]
	windows stream.Windows
	size    time.Duration // from start to end
	emit    emission
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (g *gr[K]) windowed(w *caseWindow, emit emission) rowGrouper {
	of, ok := any(g).(*gr[text])
	if !ok {
		skip("windows over windowed keys")
	}
	if w.Type == "session" {
		return &se{g: of, windows: stream.Sessions(ms(w.Gap)).Grace(ms(w.Grace)), emit: emit}
	}
	out := windowsOf(of, w)
	out.emit = emit
	return out
}

// windowsOf are the windows of a case, but for sessions.
func windowsOf(g *gr[text], w *caseWindow) *wi {
	switch w.Type {
	case "tumbling":
		return &wi{g: g, windows: stream.Tumbling(ms(w.Size)).Grace(ms(w.Grace)), size: ms(w.Size)}
	case "hopping":
		return &wi{g: g, windows: stream.Hopping(ms(w.Size), ms(w.Advance)).Grace(ms(w.Grace)), size: ms(w.Size)}
	case "sliding":
		return &wi{g: g, windows: stream.Sliding(ms(w.Diff)).Grace(ms(w.Grace)), size: ms(w.Diff)}
	case "unlimited":
		return &wi{g: g, windows: stream.Unlimited(time.UnixMilli(w.Start)), size: math.MaxInt64}
	}
	skip("%s windows", w.Type)
	return nil
}

func (w *wi) count(in *interpreter, op *caseOp) tabler {
	spec := window(in, op, w, serde.Int64)
	return &tb[stream.Windowed[text], int64]{t: ktable.CountWindows(w.by(op), spec),
		keys: serde.TimeWindowed(w.g.s.keys, w.size), values: serde.Int64, keyKind: str, kind: num}
}

func (w *wi) aggregate(in *interpreter, op *caseOp, reduce bool) tabler {
	values := serde.Serde[text](textSerde{str})
	spec := window(in, op, w, values)
	out := &tb[stream.Windowed[text], text]{keys: serde.TimeWindowed(w.g.s.keys, w.size), values: values, keyKind: str, kind: str}
	f := parseCombiner(op.Add)
	in2 := w.by(op)
	if reduce {
		out.t = ktable.ReduceWindowsCtx(in2, func(_ context.Context, k text, sofar, v text) (text, error) { return f(keyText(k), sofar, v) }, spec)
	} else {
		out.t = ktable.AggregateWindowsCtx(in2, func() text { return textOf(op.Init) },
			func(_ context.Context, k text, v, agg text) (text, error) { return f(keyText(k), agg, v) }, spec)
	}
	return out
}

// by divides the records.
func (w *wi) by(op *caseOp) *stream.GroupedWindows[text, text] {
	g := stream.WindowBy(w.g.grouped(op.Store), w.windows)
	switch {
	case w.emit.every > 0:
		return g.EmitOnCloseEvery(w.emit.every)
	case w.emit.onClose:
		return g.EmitOnClose()
	}
	return g
}

// end is the end of the window that starts at start.
func (w *wi) end(start int64) int64 {
	if size := w.size.Milliseconds(); w.size < math.MaxInt64 {
		return start + size
	}
	return math.MaxInt64
}

// window makes the handle of a window store with a case's options, and registers it.
func window[V any](in *interpreter, op *caseOp, w *wi, values serde.Serde[V]) *statestore.WindowSpec[text, V] {
	spec := statestore.Window(op.Store, w.g.s.keys, values)
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
	in.stores[op.Store] = storeReader{
		all: func(m machine) (out []storeEntry, err error) {
			windows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			var all []listed
			for e, err := range windows.All() {
				if err != nil {
					return nil, err
				}
				key := keyText(stream.Windowed[text]{Key: keyText(e.Key), Start: e.Start, End: w.end(e.Start)})
				all = append(all, listed{storeEntry{Key: key.ptr(), Value: valueText(e.Value).ptr(), TS: &e.Timestamp}, e.Start})
			}
			return in.inLibraryOrder(op, false, all), nil
		},
		query: func(m machine, s *caseStep) (out []storeEntry, err error) {
			windows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			for e, err := range windows.FetchRange(textOf(s.Key), *s.From, *s.To+1) {
				if err != nil {
					return nil, err
				}
				out = append(out, storeEntry{Key: keyText(e.Key).ptr(), Start: &e.Start, Value: valueText(e.Value).ptr(), TS: &e.Timestamp})
			}
			return out, nil
		},
	}
	return spec
}
