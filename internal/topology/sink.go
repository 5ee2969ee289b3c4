package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// SinkSpec says where a sink writes.
type SinkSpec[K, V any] struct {
	Topic  TopicRef
	Serdes Serdes[K, V]
	// Choose, if set, finds the topic of each record in place of Topic and Serdes. Its error is a processing fault.
	Choose func(ctx context.Context, r *Record[K, V]) (TopicRef, Serdes[K, V], error)
	// At most one of Route and Spread is set; without, the key decides.
	Route  Route[K, V]
	Spread Spread[K, V]
}

// Route chooses the partition of a record among n; a negative answer leaves the choice to the key.
type Route[K, V any] func(r *Record[K, V], n int32) int32

// Spread chooses the partitions of a record among n, each of which gets it. With none the record is dropped and counted.
type Spread[K, V any] func(r *Record[K, V], n int32) []int

// AddSinkTo adds a sink with one or several inputs that encodes records and sends them where the spec says.
func AddSinkTo[K, V any](g *Graph, op Op, name string, parents []*Node, spec SinkSpec[K, V]) *Node {
	if spec.Choose == nil {
		spec.Serdes.check(g, op, spec.Topic.Name)
		if err := checkTopicName(spec.Topic.Name); err != nil && !spec.Topic.Internal { // the source of an internal topic reports it
			g.Fault(op, "%w", err)
		}
	}
	return g.add(&Node{name: name, kind: sinkNode, op: op, parents: parents, sink: spec.Topic, dynamic: spec.Choose != nil,
		wire: func(w *Wiring, n *Node) any { return guard(w, n, wireSink(w, n, spec)) }})
}

func wireSink[K, V any](w *Wiring, n *Node, spec SinkSpec[K, V]) Sink[K, V] {
	s := &sender[K, V]{spec: spec, task: w.task, env: w.Env(), fail: w.Failure(n, FaultProduction), drop: w.Drop(n)}
	s.at, s.id = w.At(n)
	if spec.Choose != nil {
		s.ctx, s.failFunc, s.chosen = w.Context(), w.Failure(n, FaultProcessing), map[string]*target[K, V]{}
		return s.sendChosen
	}
	t, err := s.target(spec.Topic, spec.Serdes)
	if err != nil {
		w.Fail(err)
	}
	return func(r *Record[K, V]) error {
		*s.at = s.id
		return s.send(t, r)
	}
}

// target is one topic of a sink in one task.
type target[K, V any] struct {
	*encoder[K, V]
	ref   TopicRef
	count int32          // of partitions; 0 where the environment decides
	keys  partitionKeyer // nil: the whole key decides
}

// byKey is the partition argument of [Env.Send] that leaves the choice to the key.
const byKey = -1

// partition is the choice by the encoded key: by the whole of it, which the environment does, or by a part.
func (t *target[K, V]) partition() int32 {
	if t.keys == nil || t.raw.Key == nil {
		return byKey
	}
	return PartitionFor(t.keys.PartitionKey(t.raw.Key), t.count)
}

// sender is a sink at work in one task.
type sender[K, V any] struct {
	spec SinkSpec[K, V]
	task *Task
	env  Env
	fail func(error) error // of what cannot be encoded or has no partition
	drop func(DropReason)
	at   *int32
	id   int32

	// Only where topics are chosen.
	ctx      context.Context
	failFunc func(error) error
	chosen   map[string]*target[K, V] // at most maxChosen, by name
}

// maxChosen bounds the topics that a sink remembers: names may come from records, and each costs some 500 bytes and its buffers, 2 MiB in all with small records. A sink
// that chooses more begins anew.
const maxChosen = 4096

func (s *sender[K, V]) target(ref TopicRef, serdes Serdes[K, V]) (t *target[K, V], err error) {
	t = &target[K, V]{encoder: newEncoder(serdes), ref: ref}
	t.keys, _ = any(serdes.Key).(partitionKeyer)
	if t.keys != nil || s.spec.Route != nil || s.spec.Spread != nil {
		if t.count, err = s.env.Partitions(ref); err != nil {
			return nil, fmt.Errorf("partitions of topic %s: %w", ref.Name, err)
		}
	}
	return t, nil
}

func (s *sender[K, V]) send(t *target[K, V], r *Record[K, V]) error {
	s.task.phase = FaultProduction
	err := t.encode(r)
	s.task.phase = FaultProcessing
	if err != nil {
		return s.fail(err)
	}
	switch {
	case s.spec.Spread != nil:
		return s.spread(t, r)
	case s.spec.Route == nil:
		return s.env.Send(t.ref, t.partition(), &t.raw)
	}
	if to := s.spec.Route(r, t.count); to >= 0 {
		return s.sendTo(t, int(to))
	}
	return s.env.Send(t.ref, t.partition(), &t.raw)
}

func (s *sender[K, V]) spread(t *target[K, V], r *Record[K, V]) error {
	all := s.spec.Spread(r, t.count)
	if len(all) == 0 {
		s.drop(DropNowhere)
	}
	for i, to := range all {
		if slices.Contains(all[:i], to) { // named twice, sent once; there are few of them
			continue
		}
		if err := s.sendTo(t, to); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender[K, V]) sendTo(t *target[K, V], partition int) error {
	if partition < 0 || partition >= int(t.count) {
		return s.fail(fmt.Errorf("topic %s has %d partitions: there is no partition %d", t.ref.Name, t.count, partition))
	}
	return s.env.Send(t.ref, int32(partition), &t.raw)
}

func (s *sender[K, V]) sendChosen(r *Record[K, V]) error {
	*s.at = s.id
	ref, serdes, err := s.spec.Choose(s.ctx, r)
	if err != nil {
		return s.failFunc(err)
	}
	t := s.chosen[ref.Name]
	if t == nil {
		if t, err = s.choose(ref, serdes); err != nil {
			return err
		}
	}
	return s.send(t, r)
}

var errNoSerdes = errors.New("the topic has no serdes")

// choose takes in a topic that is chosen for the first time, or the first time since it was forgotten.
func (s *sender[K, V]) choose(ref TopicRef, serdes Serdes[K, V]) (*target[K, V], error) {
	if err := checkTopicName(ref.Name); err != nil {
		return nil, s.failFunc(err)
	}
	if serdes.Key == nil || serdes.Value == nil {
		return nil, s.failFunc(errNoSerdes)
	}
	t, err := s.target(ref, serdes)
	if err != nil {
		return nil, s.fail(err)
	}
	if len(s.chosen) >= maxChosen {
		clear(s.chosen)
	}
	s.chosen[ref.Name] = t
	return t, nil
}
