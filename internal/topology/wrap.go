package topology

import "context"

// Operator says which operator of which task a [Wrapper] is asked about.
type Operator struct {
	Name string // in descriptions, metrics and faults
	Op   string // the DSL function that added it, such as "stream.Map"
	Site Site   // the user's line that added it
	Task TaskID
}

// RecordHead is what a wrapper sees of a record. It is valid during the call.
type RecordHead struct {
	Timestamp          int64 // event time, ms since 1970
	KeyNull, ValueNull bool
	Headers            []Header
}

// Around is called for each record that reaches an operator, in place of the operator. It calls process, which is the operator and all that follows from the record below
// it, and returns its error. When it does not call process, the record goes no further. An error of its own is the operator's fault. ctx is that of functions of the
// ...Ctx form.
type Around func(ctx context.Context, r *RecordHead, process func() error) error

// Wrapper makes what goes around an operator in one task; nil is nothing. It is called when tasks are made, by several at once.
type Wrapper func(Operator) Around

// Wrap sets a hook around every operator behind the sources. The first wrapper is the outermost.
func (g *Graph) Wrap(op Op, w Wrapper) {
	if w == nil {
		g.Fault(op, "the function is nil")
		return
	}
	if g.built {
		g.Fault(op, "the topology is built already: nothing can be added to it")
		return
	}
	g.wrappers = append(g.wrappers, w)
}

// wrapped is an operator's entry with the topology's wrappers around it.
func wrapped[K, V any](w *Wiring, n *Node, in Sink[K, V]) Sink[K, V] {
	t := w.task
	all := t.sub.topo.wrappers
	for i := len(all) - 1; i >= 0; i-- {
		if around := all[i](Operator{Name: n.name, Op: n.op.Name, Site: n.op.Site, Task: t.id}); around != nil {
			in = surround(w, n, around, in)
		}
	}
	return in
}

func surround[K, V any](w *Wiring, n *Node, around Around, in Sink[K, V]) Sink[K, V] {
	ctx, fail := w.Context(), w.Failure(n, FaultProcessing)
	at, id := w.At(n)
	var head RecordHead
	var record *Record[K, V] // in process
	process := func() error { return in(record) }
	return func(r *Record[K, V]) error {
		*at = id
		record = r
		head = RecordHead{Timestamp: r.Timestamp, KeyNull: r.KeyNull, ValueNull: r.ValueNull, Headers: r.Headers}
		if err := around(ctx, &head, process); err != nil {
			return fail(err)
		}
		return nil
	}
}
