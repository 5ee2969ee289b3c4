package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// Addition is one of the inputs of a cogroup: grouped records and the function that adds one of them to the aggregate. [Add] makes it.
type Addition[K, A any] struct {
	of      any // the *stream.Grouped
	graph   *topology.Graph
	missing bool // the function is nil
	// The following add the input's node, which aggregates into the store that all inputs share.
	plain    func(op topology.Op, c *cogroup[A], store statestore.TableSpec[K, A]) *topology.Node
	windows  func(op topology.Op, c *cogroup[A], store *statestore.WindowSpec[K, A], windows stream.Windows) *topology.Node
	sessions func(op topology.Op, c *cogroup[A], store *statestore.SessionSpec[K, A], windows stream.SessionWindows, merge mergeFunc[K, A]) *topology.Node
}

// mergeFunc makes one aggregate of those of two sessions.
type mergeFunc[K, A any] func(ctx context.Context, key K, earlier, later A) (A, error)

// cogroup is what the inputs of a cogroup share.
type cogroup[A any] struct {
	init func() A
	old  *oldValues
}

// Add makes grouped records an input of a cogroup. add may change the aggregate in place when it also returns it.
func Add[K, V, A any](g *stream.Grouped[K, V], add func(key K, value V, aggregate A) A) Addition[K, A] {
	a := addition(g, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil })
	a.missing = add == nil
	return a
}

// AddCtx is [Add] with a function that may fail.
func AddCtx[K, V, A any](g *stream.Grouped[K, V], add func(ctx context.Context, key K, value V, aggregate A) (A, error)) Addition[K, A] {
	a := addition(g, add)
	a.missing = add == nil
	return a
}

// cogroupPrefix begins the names of the nodes of inputs.
const cogroupPrefix = "COGROUPKSTREAM-AGGREGATE-"

func addition[K, V, A any](grouped *stream.Grouped[K, V], add func(ctx context.Context, key K, value V, agg A) (A, error)) Addition[K, A] {
	return Addition[K, A]{of: grouped, graph: grouped.Graph(),
		plain: func(op topology.Op, c *cogroup[A], store statestore.TableSpec[K, A]) *topology.Node {
			in := grouped.Input(op)
			g := in.Node.Graph()
			return topology.AddProcessor(g, op, g.NextName(cogroupPrefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, A]) topology.Sink[K, V] {
				return newAggregation(w, n, store, adder(c.init, add), c.old, next).process
			})
		},
		windows: func(op topology.Op, c *cogroup[A], store *statestore.WindowSpec[K, A], windows stream.Windows) *topology.Node {
			in := grouped.Input(op)
			g := in.Node.Graph()
			return topology.AddProcessor(g, op, g.NextName(cogroupPrefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[stream.Windowed[K], A]) topology.Sink[K, V] {
				a := newWindowing(w, n, store, inputTime(w, store.StoreName(), in.Node), windows, adder(c.init, add))
				a.forward = windowForwarder(w, n, a.store, a.end, c.old, next)
				return a.processor(windows)
			})
		},
		sessions: func(op topology.Op, c *cogroup[A], store *statestore.SessionSpec[K, A], windows stream.SessionWindows, merge mergeFunc[K, A]) *topology.Node {
			in := grouped.Input(op)
			g := in.Node.Graph()
			return topology.AddProcessor(g, op, g.NextName(cogroupPrefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[stream.Windowed[K], A]) topology.Sink[K, V] {
				a := newSessionAggregation(w, n, store, inputTime(w, store.StoreName(), in.Node), windows, sessionAdder(c.init, add, merge))
				a.forward = sessionForwarder(w, n, a.store, c.old, next)
				return a.process
			})
		},
	}
}

// inputTime is the highest time of one input, kept under the name of its source.
func inputTime(w *topology.Wiring, store string, in *topology.Node) *int64 {
	return w.Observed(store + "/" + in.Name())
}

// Cogroup combines the values of several streams by key into one table: init makes the value to begin with, and each input adds its records to it. The topics behind
// the inputs need equal numbers of partitions. When the same grouped records are given twice, the last function counts.
//
// With a versioned store the table knows its past, as that of [AggregateVersioned] does.
func Cogroup[K, A any](init func() A, store statestore.TableSpec[K, A], first Addition[K, A], more ...Addition[K, A]) *Table[K, A] {
	op, g := topology.Here("ktable.Cogroup"), first.graph
	c, inputs := newCogroup(op, init, first, more)
	ok := checkRows(g, op, store)
	var nodes []*topology.Node
	for _, in := range inputs {
		nodes = append(nodes, in.plain(op, c, store))
	}
	all := mergeInputs[K, A](g, op, nodes)
	if !ok {
		return &Table[K, A]{node: all, old: c.old, lookup: keyValueLookup[K, A]("")}
	}
	share(g, op, nodes, store)
	return keptTable(all, store, c.old)
}

// CogroupWindows is [Cogroup] by windows. Each input drops what is late by its own highest time.
func CogroupWindows[K, A any](windows stream.Windows, init func() A, store *statestore.WindowSpec[K, A],
	first Addition[K, A], more ...Addition[K, A]) *Table[stream.Windowed[K], A] {
	op, g := topology.Here("ktable.CogroupWindows"), first.graph
	c, inputs := newCogroup(op, init, first, more)
	stream.CheckWindows(op, g, windows)
	store = checkTimed(g, op, store, "windows", windows.Retention())
	var nodes []*topology.Node
	for _, in := range inputs {
		nodes = append(nodes, in.windows(op, c, store, windows))
	}
	t := &Table[stream.Windowed[K], A]{node: mergeInputs[stream.Windowed[K], A](g, op, nodes), old: c.old, closes: closesOf(windows), lookup: windowLookup[K, A]("")}
	if store != nil {
		share(g, op, nodes, store)
		t.stores, t.lookup = []string{store.StoreName()}, windowLookup[K, A](store.StoreName())
	}
	return t
}

// CogroupSessions is [Cogroup] by sessions; merge puts sessions that become one together, the earlier first. Each input drops what is late by its own highest time.
func CogroupSessions[K, A any](windows stream.SessionWindows, init func() A, merge func(key K, earlier, later A) A,
	store *statestore.SessionSpec[K, A], first Addition[K, A], more ...Addition[K, A]) *Table[stream.Windowed[K], A] {
	op := topology.Here("ktable.CogroupSessions")
	requireFunc(first.graph, op, merge == nil)
	return cogroupSessions(op, windows, init, func(_ context.Context, k K, a, b A) (A, error) { return merge(k, a, b), nil }, store, first, more)
}

// CogroupSessionsCtx is [CogroupSessions] with a function that may fail.
func CogroupSessionsCtx[K, A any](windows stream.SessionWindows, init func() A, merge func(ctx context.Context, key K, earlier, later A) (A, error),
	store *statestore.SessionSpec[K, A], first Addition[K, A], more ...Addition[K, A]) *Table[stream.Windowed[K], A] {
	op := topology.Here("ktable.CogroupSessionsCtx")
	requireFunc(first.graph, op, merge == nil)
	return cogroupSessions(op, windows, init, merge, store, first, more)
}

func cogroupSessions[K, A any](op topology.Op, windows stream.SessionWindows, init func() A, merge mergeFunc[K, A],
	store *statestore.SessionSpec[K, A], first Addition[K, A], more []Addition[K, A]) *Table[stream.Windowed[K], A] {
	g := first.graph
	c, inputs := newCogroup(op, init, first, more)
	windows.Check(op, g)
	store = checkTimed(g, op, store, "sessions", windows.Retention())
	var nodes []*topology.Node
	for _, in := range inputs {
		nodes = append(nodes, in.sessions(op, c, store, windows, merge))
	}
	t := &Table[stream.Windowed[K], A]{node: mergeInputs[stream.Windowed[K], A](g, op, nodes), old: c.old, closes: sessionCloses(windows), lookup: sessionLookup[K, A]("")}
	if store != nil {
		share(g, op, nodes, store)
		t.stores, t.lookup = []string{store.StoreName()}, sessionLookup[K, A](store.StoreName())
	}
	return t
}

// newCogroup returns what the inputs share, and the inputs, each once.
func newCogroup[K, A any](op topology.Op, init func() A, first Addition[K, A], more []Addition[K, A]) (*cogroup[A], []Addition[K, A]) {
	g := first.graph
	requireFunc(g, op, init == nil)
	var inputs []Addition[K, A]
	at := map[any]int{}
	for _, in := range append([]Addition[K, A]{first}, more...) {
		requireFunc(g, op, in.missing)
		if i, again := at[in.of]; again {
			inputs[i] = in
			continue
		}
		at[in.of] = len(inputs)
		inputs = append(inputs, in)
	}
	return &cogroup[A]{init: init, old: &oldValues{}}, inputs
}

// mergeInputs adds the node that takes the changes of all inputs.
func mergeInputs[K, A any](g *topology.Graph, op topology.Op, inputs []*topology.Node) *topology.Node {
	return topology.AddProcessor(g, op, g.NextName("COGROUPKSTREAM-MERGE-"), inputs, func(_ *topology.Wiring, _ *topology.Node, next rowSink[K, A]) rowSink[K, A] {
		return next
	})
}

// share gives one store to all inputs.
func share(g *topology.Graph, op topology.Op, inputs []*topology.Node, store statestore.Spec) {
	g.AddStore(op, inputs[0], store)
	for _, n := range inputs[1:] {
		g.Connect(n, store.StoreName())
	}
	g.Copartition(op, inputs...)
}
