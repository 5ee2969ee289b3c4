package ktable

import (
	"bytes"
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// foreignSubscriber tells the right table's tasks what the rows of the left one refer to, for one task.
type foreignSubscriber[K, V, FK, W, R any] struct {
	*foreignJoin[K, V, FK, W, R]
	out       topology.Record[FK, subscription[K]]
	next      topology.Sink[FK, subscription[K]]
	made      FK             // by the function
	isNull    func(*FK) bool // nil: no key is null
	row       []byte         // scratch: the encoded left row
	was, will []byte         // scratch: encoded foreign keys
	ctx       context.Context
	fail      func(error) error
	invalid   func(error) error
	drop      func(topology.DropReason)
	at        *int32
	id        int32
}

func (j *foreignJoin[K, V, FK, W, R]) wireSubscriber(w *topology.Wiring, n *topology.Node, next topology.Sink[FK, subscription[K]]) rowSink[K, V] {
	s := &foreignSubscriber[K, V, FK, W, R]{foreignJoin: j, next: next, isNull: serde.NullCheck[FK](), ctx: w.Context(),
		fail: w.Failure(n, topology.FaultProcessing), invalid: w.Failure(n, topology.FaultProduction), drop: w.Drop(n)}
	s.out.Value.partition = w.Env().TaskID().Partition
	s.at, s.id = w.At(n)
	return s.process
}

// process tells about a change of a left row. A subscription that changes its key is taken back at the old one first, which lies in another task perhaps.
func (s *foreignSubscriber[K, V, FK, W, R]) process(r *rows[K, V]) error {
	c := &r.Value
	if c.Late {
		s.drop(topology.DropLate)
		return nil
	}
	if !c.HasNew && !c.HasOld {
		return nil
	}
	was, had, err := s.refers(r.Key, c.Old, c.HasOld)
	if err != nil {
		return err
	}
	will, has, err := s.refers(r.Key, c.New, c.HasNew)
	if err != nil {
		return err
	}
	moved := false
	if had {
		if moved, err = s.differ(was, will, has); err != nil {
			return err
		}
	}
	if err := s.begin(r); err != nil {
		return err
	}
	switch {
	case s.isLeft:
		if had && moved {
			if err := s.send(was, true, unsubscribe); err != nil {
				return err
			}
		}
		return s.send(will, has, subscribeAnswer)
	case c.HasNew && !has:
		s.drop(topology.DropNullKey)
		fallthrough
	case !c.HasNew:
		if !had {
			return nil
		}
		return s.send(was, true, unsubscribeAnswer)
	case had && moved:
		if err := s.send(was, true, unsubscribe); err != nil {
			return err
		}
		return s.send(will, true, subscribeAnswer)
	}
	return s.send(will, true, subscribe)
}

// refers returns the foreign key of a row, none for no row.
func (s *foreignSubscriber[K, V, FK, W, R]) refers(key K, row V, has bool) (none FK, ok bool, err error) {
	if !has {
		return none, false, nil
	}
	*s.at = s.id
	if s.made, ok, err = s.foreignKey(s.ctx, key, row); err != nil {
		return none, false, s.fail(err)
	}
	if !ok || s.isNull != nil && s.isNull(&s.made) {
		return none, false, nil
	}
	return s.made, true, nil
}

// differ tells whether a subscription moves, by the encoded foreign keys: those are what the right table's keys are compared with.
func (s *foreignSubscriber[K, V, FK, W, R]) differ(was, will FK, has bool) (moved bool, err error) {
	if !has {
		return true, nil
	}
	if s.was, err = s.via.right.Key.Append(s.was[:0], was); err != nil {
		return false, s.invalid(err)
	}
	if s.will, err = s.via.right.Key.Append(s.will[:0], will); err != nil {
		return false, s.invalid(err)
	}
	return !bytes.Equal(s.was, s.will), nil
}

// begin fills what all messages about a change have in common.
func (s *foreignSubscriber[K, V, FK, W, R]) begin(r *rows[K, V]) (err error) {
	s.out.Timestamp, s.out.Headers = r.Timestamp, r.Headers
	m := &s.out.Value
	m.key, m.hasHash = r.Key, r.Value.HasNew
	if !m.hasHash {
		return nil
	}
	if s.row, err = s.via.left.Value.Append(s.row[:0], r.Value.New); err != nil {
		return s.invalid(err)
	}
	m.hash = murmur3(s.row)
	return nil
}

func (s *foreignSubscriber[K, V, FK, W, R]) send(to FK, has bool, what instruction) error {
	s.out.Key, s.out.KeyNull, s.out.Value.instruction = to, !has, what
	return s.next(&s.out)
}

// foreignPublisher keeps the subscriptions to the right table's rows and answers them, for one task.
type foreignPublisher[K, FK, W any] struct {
	store  statestore.KeyValueStore[subscriber[FK, K], subscription[K]]
	rows   lookup[FK, W]
	out    topology.Record[K, response[W]]
	next   topology.Sink[K, response[W]]
	drop   func(topology.DropReason)
	prefix func(dst []byte, foreign FK) ([]byte, error)
	begin  []byte // scratch: what a foreign key's subscribers begin with
}

func (j *foreignJoin[K, V, FK, W, R]) newPublisher(w *topology.Wiring, n *topology.Node, next topology.Sink[K, response[W]]) *foreignPublisher[K, FK, W] {
	s := w.Store(j.store.StoreName()).(statestore.KeyValueStore[subscriber[FK, K], subscription[K]])
	return &foreignPublisher[K, FK, W]{store: s, next: next, drop: w.Drop(n), prefix: j.subscribers.prefix}
}

func (j *foreignJoin[K, V, FK, W, R]) wirePublisher(w *topology.Wiring, n *topology.Node, next topology.Sink[K, response[W]]) topology.Sink[FK, subscription[K]] {
	p := j.newPublisher(w, n, next)
	p.rows = j.right.lookup(w)
	return p.subscribed
}

// subscribed keeps or forgets a subscription and answers it.
func (p *foreignPublisher[K, FK, W]) subscribed(r *topology.Record[FK, subscription[K]]) (err error) {
	m := &r.Value
	if r.KeyNull && m.instruction != subscribeAnswer {
		p.drop(topology.DropNullKey)
		return nil
	}
	if r.ValueNull {
		p.drop(topology.DropNullValue) // no instance writes one
		return nil
	}
	out, time := &p.out.Value, r.Timestamp
	var none W
	out.row, out.found = none, false
	if !r.KeyNull {
		at := subscriber[FK, K]{foreign: r.Key, key: m.key}
		if m.instruction == unsubscribe || m.instruction == unsubscribeAnswer {
			err = p.store.Delete(at, r.Timestamp)
		} else {
			err = p.store.Put(at, *m, r.Timestamp)
		}
		if err != nil || m.instruction == unsubscribe {
			return err
		}
		var rowTime int64
		if out.row, rowTime, out.found, err = p.rows(r.Key); err != nil {
			return err
		}
		if out.found {
			time = max(time, rowTime)
		}
	}
	switch {
	case m.instruction == subscribe && !out.found:
		return nil
	case m.instruction == unsubscribeAnswer:
		out.row, out.found = none, false
	}
	p.out.Timestamp, p.out.Headers = time, r.Headers
	return p.answer(m)
}

// answer sends the response that is filled in to a subscriber.
func (p *foreignPublisher[K, FK, W]) answer(m *subscription[K]) error {
	p.out.Key = m.key
	p.out.Value.hash, p.out.Value.hasHash, p.out.Value.partition = m.hash, m.hasHash, m.partition
	return p.next(&p.out)
}

func (j *foreignJoin[K, V, FK, W, R]) wireUpdates(w *topology.Wiring, n *topology.Node, next topology.Sink[K, response[W]]) rowSink[FK, W] {
	return j.newPublisher(w, n, next).updated
}

// updated tells every subscriber of a right row about its change.
func (p *foreignPublisher[K, FK, W]) updated(r *rows[FK, W]) (err error) {
	if r.Value.Late {
		p.drop(topology.DropLate)
		return nil
	}
	if p.begin, err = p.prefix(p.begin[:0], r.Key); err != nil {
		return err
	}
	for e, err := range p.store.Range(statestore.Prefix[subscriber[FK, K]](p.begin)) {
		if err != nil {
			return err
		}
		p.out.Timestamp, p.out.Headers = r.Timestamp, r.Headers
		p.out.Value.row, p.out.Value.found = r.Value.New, r.Value.HasNew
		if err := p.answer(&e.Value); err != nil {
			return err
		}
	}
	return nil
}

// foreignResolver joins answers with the left rows that they belong to, for one task.
type foreignResolver[K, V, FK, W, R any] struct {
	*foreignJoin[K, V, FK, W, R]
	rows    lookup[K, V]
	row     []byte // scratch: the encoded left row
	out     topology.Record[K, R]
	next    topology.Sink[K, R]
	isNull  func(*R) bool // nil: no result is null
	ctx     context.Context
	fail    func(error) error
	invalid func(error) error
	drop    func(topology.DropReason)
	at      *int32
	id      int32
}

func (j *foreignJoin[K, V, FK, W, R]) wireResolver(w *topology.Wiring, n *topology.Node, next topology.Sink[K, R]) topology.Sink[K, response[W]] {
	s := &foreignResolver[K, V, FK, W, R]{foreignJoin: j, rows: j.left.lookup(w), next: next, isNull: serde.NullCheck[R](), ctx: w.Context(),
		fail: w.Failure(n, topology.FaultProcessing), invalid: w.Failure(n, topology.FaultProduction), drop: w.Drop(n)}
	s.at, s.id = w.At(n)
	return s.process
}

func (s *foreignResolver[K, V, FK, W, R]) process(r *topology.Record[K, response[W]]) error {
	if r.KeyNull || r.ValueNull {
		s.drop(topology.DropNullKey) // no instance writes one
		return nil
	}
	row, _, found, err := s.rows(r.Key)
	if err != nil {
		return err
	}
	if current, err := s.current(row, found, &r.Value); err != nil {
		return err
	} else if !current { // the answer to the later change is on its way
		s.drop(topology.DropStale)
		return nil
	}
	o, m := &s.out, &r.Value
	o.Key, o.Timestamp, o.Headers = r.Key, r.Timestamp, r.Headers
	var none R
	o.Value, o.ValueNull = none, true
	if found && (m.found || s.isLeft) {
		*s.at = s.id
		if o.Value, err = s.join(s.ctx, r.Key, row, m.row, m.found); err != nil {
			return s.fail(err)
		}
		o.ValueNull = s.isNull != nil && s.isNull(&o.Value)
	}
	return s.next(o)
}

// current tells whether an answer is about the left row as it is now.
func (s *foreignResolver[K, V, FK, W, R]) current(row V, found bool, m *response[W]) (ok bool, err error) {
	if !found || !m.hasHash {
		return found == m.hasHash, nil
	}
	if s.row, err = s.via.left.Value.Append(s.row[:0], row); err != nil {
		return false, s.invalid(err)
	}
	return murmur3(s.row) == m.hash, nil
}
