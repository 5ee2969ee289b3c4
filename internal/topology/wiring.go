package topology

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/millrace-io/millrace/statestore"
)

// Wiring is a task under construction: it opens the stores and connects the operators of a sub-topology, last ones first, with typed closures.
type Wiring struct {
	task    *Task
	env     Env
	entries map[*Node]any
	stores  map[string]statestore.Store
	shared  map[string]any
}

// Env is the task's environment.
func (w *Wiring) Env() Env { return w.env }

// Store returns the task's partition of a store, which the node must own or be connected to.
func (w *Wiring) Store(name string) statestore.Store { return w.stores[name] }

// StoreFor returns the task's partition of a store to a processor. It fails the task for a store that the processor was not given, and for one to be written that an
// operator owns.
func (w *Wiring) StoreFor(n *Node, spec statestore.Spec, write bool) statestore.Store {
	name := spec.StoreName()
	for _, u := range n.stores {
		if u.spec.StoreName() != name {
			continue
		}
		if write && !u.shared {
			w.Fail(fmt.Errorf("%s at %s: store %q belongs to %s at %s and can only be read here", n.op.Name, n.op.Site, name, u.op.Name, u.op.Site))
		}
		return w.stores[name]
	}
	w.Fail(fmt.Errorf("%s at %s: store %q was not given to it", n.op.Name, n.op.Site, name))
	return nil
}

// Shared returns what operators of one task share under a durable name; the first of them makes it.
func (w *Wiring) Shared(name string, make func() any) any {
	v, ok := w.shared[name]
	if !ok {
		v = make()
		if w.shared == nil {
			w.shared = map[string]any{}
		}
		w.shared[name] = v
	}
	return v
}

// OnClose registers what the task does when it ends, whether it ran well or not. Errors are the task's.
func (w *Wiring) OnClose(f func() error) { w.task.closers = append(w.task.closers, f) }

// Context is what functions of the ...Ctx form get.
func (w *Wiring) Context() context.Context { return &w.task.ctx }

// StreamTime returns the task's stream time.
func (w *Wiring) StreamTime() func() int64 { return w.task.StreamTime }

// Observed returns the operator's own stream time, the highest timestamp that reached it: -1 before any record. It is stored with the committed offsets under
// a durable name, the operator's store, so that what was late before a crash is late after it.
func (w *Wiring) Observed(name string) *int64 { return w.task.observed.cell(name) }

// At returns the cell in which the task keeps the operator in charge, and the node's value for it. An operator writes it before each call of a user's
// function, so that a panic finds its operator.
func (w *Wiring) At(n *Node) (cell *int32, id int32) { return &w.task.at, int32(n.id) }

// Failure returns the function that turns an error of a user's function into the operator's fault.
func (w *Wiring) Failure(n *Node, kind FaultKind) func(error) error {
	t := w.task
	return func(err error) error { return t.fault(kind, n, err) }
}

// Drop returns the function that counts a record that went no further at a node.
func (w *Wiring) Drop(n *Node) func(DropReason) {
	env, name := w.env, n.name
	return func(r DropReason) { env.Dropped(name, r) }
}

// Advance moves the task's stream time; sources call it with the time of each record that they decoded.
func (w *Wiring) Advance() func(timestamp int64) {
	t := w.task
	return func(ts int64) { t.streamTime = max(t.streamTime, ts) }
}

// Next returns the entry of a node's children: one function that calls them in order of declaration and stops at the first error.
func Next[K, V any](w *Wiring, n *Node) Sink[K, V] {
	var sinks []Sink[K, V]
	for _, c := range n.children {
		sinks = append(sinks, EntryOf[K, V](w, c))
	}
	switch len(sinks) {
	case 0:
		return func(*Record[K, V]) error { return nil }
	case 1:
		return sinks[0]
	case 2:
		a, b := sinks[0], sinks[1]
		return func(r *Record[K, V]) error {
			if err := a(r); err != nil {
				return err
			}
			return b(r)
		}
	}
	return func(r *Record[K, V]) error {
		for _, s := range sinks {
			if err := s(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// EntryOf returns the entry of a node that is wired already, as all children are before their parents: for operators that choose who gets a record.
func EntryOf[K, V any](w *Wiring, n *Node) Sink[K, V] {
	s, ok := w.entries[n].(Sink[K, V])
	if !ok {
		panic(fmt.Sprintf("topology: %s takes %T and is given %T", n.name, w.entries[n], s))
	}
	return s
}

// guard lets the fault handler skip an operator's input, when there is a handler: its own panics and errors are asked about here, once, and the operators
// above go on as if it had returned.
func guard[K, V any](w *Wiring, n *Node, in Sink[K, V]) any {
	t := w.task
	in = wrapped(w, n, in)
	if t.policy == nil || !t.policy.guards() {
		return in
	}
	return Sink[K, V](func(r *Record[K, V]) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = t.panicFault(p)
			}
			if err != nil {
				err = t.settle(err, n, r.Timestamp, r.Headers)
			}
		}()
		return in(r)
	})
}

// fault names the operator and the record in process.
func (t *Task) fault(kind FaultKind, n *Node, err error) error {
	var already *Fault
	if errors.As(err, &already) {
		return err
	}
	if kind == FaultProcessing && errors.Is(err, statestore.ErrFailed) {
		kind = FaultInternal // a processor that passes on what its store told it
	}
	return t.newFault(kind, n, err)
}

// final makes an error the end of the task, if it is not a fault already.
func (t *Task) final(err error) error {
	kind := FaultInternal
	if production(err) {
		kind = FaultProduction
	}
	return t.fault(kind, t.current(), err)
}

func (t *Task) newFault(kind FaultKind, n *Node, err error) *Fault {
	f := &Fault{Kind: kind, Task: t.id, Err: err, Timestamp: -1}
	if n != nil {
		f.Node, f.Op, f.Site = n.name, n.op.Name, n.op.Site
	}
	if t.raw != nil {
		f.Topic, f.Partition, f.Offset = t.raw.Topic, t.raw.Partition, t.raw.Offset
	}
	return f
}

// current is the operator in charge, nil when there is none.
func (t *Task) current() *Node {
	if t.at < 0 {
		return nil
	}
	return t.sub.topo.nodes[t.at]
}

// panicFault is called while a panic is being recovered: the operator in charge is the one that wrote the task's cell last.
func (t *Task) panicFault(p any) error {
	f := t.newFault(t.phase, t.current(), &Panic{Value: p})
	f.Stack = debug.Stack()
	t.phase = FaultProcessing
	return f
}
