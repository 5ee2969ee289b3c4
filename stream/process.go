package stream

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Processor is one task's part of a [Process] operator, which gives records with keys of type K and values of type V.
type Processor[K, V any] struct {
	Operator
	*outlets[K, V]
}

// Process hands each record to a function of yours, which can keep state, act by the clock, and forward any number of records at any time. setup is called once for
// each task and returns that function:
//
//	alerts := stream.Process(readings, func(p *stream.Processor[string, Alert]) func(*stream.Record[string, Reading]) error {
//		last := stream.Store(p, lastReadings)
//		p.Every(stream.WallClock, time.Minute, func(now int64) error { … })
//		return func(r *stream.Record[string, Reading]) error {
//			…
//			return p.Forward(stream.With(r, Alert{…}))
//		}
//	}, lastReadings)
//
// The stores that it uses are named at the end. Processors that are given the same handle share the store: then they, and all that feeds them, run in the same tasks. A
// handle of a table's store may be among them, to be read. Records are not partitioned for it: where equal keys must meet, see [Repartition].
//
// An error that the function returns is a fault of the record; those of Forward are the fault of an operator below and count as such in any case. Since keys may
// change, state below needs a repartition topic; [ProcessValues] keeps them.
func Process[K, V, K2, V2 any](s *Stream[K, V], setup func(p *Processor[K2, V2]) func(r *Record[K, V]) error, stores ...statestore.Spec) *Stream[K2, V2] {
	op, g := topology.Here("stream.Process"), s.graph()
	requireFunc(g, op, setup == nil)
	ways := &children{}
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-PROCESSOR-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V2]) topology.Sink[K, V] {
		p := &Processor[K2, V2]{Operator: Operator{w: w, n: n, op: op}}
		p.outlets = newOutlets(&p.Operator, next, ways)
		return run(&p.Operator, setup(p))
	})
	for _, spec := range stores {
		g.UseStore(op, n, spec)
	}
	out := newKey[K2, V2](op, n)
	out.children = ways
	return out
}

// Forward passes a record on to all that follows. It is copied; its null marks count beside a null of the type's own.
func (p *Processor[K, V]) Forward(r Record[K, V]) error { return p.give(p.next, r) }

// ForwardTo passes a record on to one child alone, which [Child] has named.
func (p *Processor[K, V]) ForwardTo(child string, r Record[K, V]) error {
	to, err := p.named(child)
	if err != nil {
		return err
	}
	return p.give(to, r)
}

// ValueProcessor is one task's part of a [ProcessValues] operator, which gives values of type V for the keys that records have.
type ValueProcessor[K, V any] struct {
	Operator
	*outlets[K, V]
	key     K // of the record in process
	keyNull bool
}

// ProcessValues is [Process] for a function that does not change keys, so that state below needs no repartition topic.
func ProcessValues[K, V, V2 any](s *Stream[K, V], setup func(p *ValueProcessor[K, V2]) func(r *Record[K, V]) error, stores ...statestore.Spec) *Stream[K, V2] {
	op, g := topology.Here("stream.ProcessValues"), s.graph()
	requireFunc(g, op, setup == nil)
	ways := &children{}
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-PROCESSVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V2]) topology.Sink[K, V] {
		p := &ValueProcessor[K, V2]{Operator: Operator{w: w, n: n, op: op}}
		p.outlets = newOutlets(&p.Operator, next, ways)
		process := run(&p.Operator, setup(p))
		return func(r *Record[K, V]) error {
			p.key, p.keyNull = r.Key, r.KeyNull
			return process(r)
		}
	})
	for _, spec := range stores {
		g.UseStore(op, n, spec)
	}
	out := sameKey[K, V, V2](s, n)
	out.children = ways
	return out
}

var errNoRecord = errors.New("no record is in process whose key the result could have: what a punctuation forwards needs stream.Process")

// Forward passes a record on to all that follows, with the key of the record in process, whatever key it is given. It is copied.
func (p *ValueProcessor[K, V]) Forward(r Record[K, V]) error {
	if !p.busy {
		return errNoRecord
	}
	r.Key, r.KeyNull = p.key, p.keyNull
	return p.give(p.next, r)
}

// ForwardTo is Forward to one child alone, which [Child] has named.
func (p *ValueProcessor[K, V]) ForwardTo(child string, r Record[K, V]) error {
	if !p.busy {
		return errNoRecord
	}
	to, err := p.named(child)
	if err != nil {
		return err
	}
	r.Key, r.KeyNull = p.key, p.keyNull
	return p.give(to, r)
}

// run is the entry of a processor whose function is process.
func run[K, V any](o *Operator, process func(*Record[K, V]) error) topology.Sink[K, V] {
	if process == nil {
		o.w.Fail(fmt.Errorf("%s at %s: the setup returned no function", o.op.Name, o.op.Site))
	}
	at, id := o.w.At(o.n)
	fail := o.w.Failure(o.n, topology.FaultProcessing)
	return func(r *Record[K, V]) error {
		*at = id
		o.begin(true)
		if err := o.outcome(process(r)); err != nil {
			return fail(err)
		}
		return nil
	}
}

// children are the named children of a processor's node, while the graph is built.
type children struct {
	names []string
	nodes []*topology.Node
}

// Child names a way out of a processor: it is the stream of the records that the processor forwards to this child, and of those that it forwards to all. s must come
// straight from [Process] or [ProcessValues].
func Child[K, V any](s *Stream[K, V], name string) *Stream[K, V] {
	op, g := topology.Here("stream.Child"), s.graph()
	n := topology.AddProcessor(g, op, s.edge.Node.Name()+"-"+name, s.parents(), passOn[K, V])
	switch c := s.children; {
	case c == nil:
		g.Fault(op, "only a stream that comes straight from stream.Process or stream.ProcessValues has children with names")
	case name == "":
		g.Fault(op, "a child needs a name")
	case c.has(name):
		g.Fault(op, "the processor has a child %q already", name)
	default:
		c.names, c.nodes = append(c.names, name), append(c.nodes, n)
	}
	return sameKey[K, V, V](s, n)
}

func (c *children) has(name string) bool {
	for _, n := range c.names {
		if n == name {
			return true
		}
	}
	return false
}

// outlets are the ways out of a processor in one task.
type outlets[K, V any] struct {
	o         *Operator
	out       Record[K, V]
	next      topology.Sink[K, V]
	names     []string
	to        []topology.Sink[K, V] // by the index of names
	keyNull   func(*K) bool         // nil: no key of this type is null
	valueNull func(*V) bool
	at        *int32
	id        int32
}

func newOutlets[K, V any](o *Operator, next topology.Sink[K, V], c *children) *outlets[K, V] {
	l := &outlets[K, V]{o: o, next: next, names: c.names, keyNull: serde.NullCheck[K](), valueNull: serde.NullCheck[V]()}
	l.at, l.id = o.w.At(o.n)
	for _, n := range c.nodes {
		l.to = append(l.to, topology.EntryOf[K, V](o.w, n))
	}
	return l
}

func (l *outlets[K, V]) named(child string) (topology.Sink[K, V], error) {
	for i, name := range l.names {
		if name == child {
			return l.to[i], nil
		}
	}
	return nil, fmt.Errorf("the processor has no child %q; its children are %q", child, l.names)
}

// give passes a record on.
func (l *outlets[K, V]) give(to topology.Sink[K, V], r Record[K, V]) error {
	if r.Timestamp < 0 {
		return fmt.Errorf("a record with the negative timestamp %d cannot be forwarded", r.Timestamp)
	}
	l.out = r
	o := &l.out
	if o.KeyNull = o.KeyNull || l.keyNull != nil && l.keyNull(&o.Key); o.KeyNull {
		var none K
		o.Key = none
	}
	if o.ValueNull = o.ValueNull || l.valueNull != nil && l.valueNull(&o.Value); o.ValueNull {
		var none V
		o.Value = none
	}
	err := to(o)
	*l.at = l.id // back in the processor
	if err != nil && l.o.broken == nil {
		l.o.broken = err
	}
	return err
}
