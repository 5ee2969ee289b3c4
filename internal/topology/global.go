package topology

import (
	"fmt"

	"github.com/millrace-io/millrace/statestore"
)

// Global is a table of which every instance of the application has a whole copy. It is kept beside the tasks: whoever runs them fills the copy from the topic, all
// partitions of it, before the first task begins, and goes on as records arrive; tasks only read it.
type Global struct {
	Spec  statestore.Spec
	Topic TopicRef
	op    Op
	// The nodes' names, for descriptions, drops and faults.
	source, table string
	feed          func(*Feed) feeder
}

// Op is the DSL call that added the table.
func (g *Global) Op() Op { return g.op }

// GlobalPartition is the partition of an engine that holds a global table: records of all partitions of the topic go there.
const GlobalPartition = 0

// AddGlobal adds a global table whose records are decoded with s and kept as the store's serdes, kept, encode them.
func AddGlobal[K, V any](g *Graph, op Op, topic TopicRef, s, kept Serdes[K, V], timestamps func(*Wiring) TimestampFunc, spec statestore.Spec) *Global {
	t := &Global{Spec: spec, Topic: topic, op: op, source: g.NextName("KSTREAM-SOURCE-"), table: g.NextName("KTABLE-SOURCE-")}
	s.check(g, op, topic.Name)
	t.feed = func(f *Feed) feeder {
		a := &globalFeeder[K, V]{feed: f, decoder: newDecoder(s), rows: newEncoder(kept), time: RecordTime}
		if timestamps != nil {
			a.time = timestamps(&Wiring{env: feedEnv{env: f.env}})
		}
		return a.take
	}
	if g.built {
		g.Fault(op, "the topology is built already: nothing can be added to it")
		return t
	}
	if err := checkTopicName(topic.Name); err != nil {
		g.Fault(op, "%w", err)
	} else if was := g.topics[topic]; was != nil {
		g.Fault(op, "topic %q is already read at %s: a global table's topic cannot be anything else", topic.Name, was.node.op.Site)
	} else {
		g.topics[topic] = &topicUse{node: &Node{graph: g, name: t.source, op: op}, table: true, global: true}
	}
	name := spec.StoreName()
	switch was := g.storeByRef[name]; {
	case name == "":
		g.Fault(op, "a store needs a name")
	case was != nil:
		g.Fault(op, "store %q is already used at %s", name, was.op.Site)
	default:
		g.storeByRef[name] = &storeUse{spec: spec, op: op, global: t}
		g.globals = append(g.globals, t)
	}
	return t
}

// GlobalEnv is what an [Env] also implements where a topology has global tables.
type GlobalEnv interface {
	// Global returns the partitions of a global table's store, for reading.
	Global(store string) ([]statestore.Partition, error)
}

// Global returns what holds a global table, for reading. It fails the task when the topology has no such table.
func (w *Wiring) Global(n *Node, spec statestore.Spec) []statestore.Partition {
	for _, g := range w.task.sub.topo.globals {
		if g.Spec != spec {
			continue
		}
		env, ok := w.env.(GlobalEnv)
		if !ok {
			break
		}
		parts, err := env.Global(spec.StoreName())
		if err != nil {
			w.Fail(fmt.Errorf("%s at %s: %w", n.op.Name, n.op.Site, err))
		}
		return parts
	}
	w.Fail(fmt.Errorf("%s at %s: the topology has no global table with the store %q", n.op.Name, n.op.Site, spec.StoreName()))
	return nil
}

// FeedEnv is what a [Feed] needs from whoever fills a global table.
type FeedEnv interface {
	Now() int64
	Dropped(node string, reason DropReason)
}

// Feed takes records into a global table. It belongs to one goroutine.
type Feed struct {
	global   *Global
	env      FeedEnv
	task     *Task // a stand-in, which makes faults and settles them
	restorer statestore.Restorer
	take     feeder
	times    []int64 // by partition: the highest time that was taken, -1 before any
}

type feeder func(b statestore.Batch, raw *RawRecord) error

// feedEnv is the environment of extractors, which ask for nothing but the time.
type feedEnv struct {
	Env
	env FeedEnv
}

func (e feedEnv) Now() int64 { return e.env.Now() }

// Dropped passes drops on.
func (e feedEnv) Dropped(node string, r DropReason) { e.env.Dropped(node, r) }

// NewFeed begins to fill a table's part of an engine. The policy is asked about records that cannot be decoded; its dead letters are skips, since there is no
// transaction that could take them along. nil fails on each.
func (g *Global) NewFeed(p statestore.Partition, env FeedEnv, policy *FaultPolicy) (*Feed, error) {
	f := &Feed{global: g, env: env}
	f.task = &Task{id: TaskID{Subtopology: -1}, env: feedEnv{env: env}, at: -1, phase: FaultProcessing}
	if policy != nil && policy.Deserialization != nil {
		ask := policy.Deserialization
		f.task.policy = &FaultPolicy{Deserialization: func(f *Fault) Decision {
			if d := ask(f); d != DeadLetter {
				return d
			}
			return Skip
		}}
	}
	var err error
	if f.restorer, err = g.Spec.Restore(p); err != nil {
		return nil, fmt.Errorf("store %q (%s): %w", g.Spec.StoreName(), g.op.Site, err)
	}
	f.take = g.feed(f)
	return f, nil
}

// Take adds what a record says to a batch. An error is a *[Fault] that nobody has skipped, or the engine's.
func (f *Feed) Take(b statestore.Batch, raw *RawRecord) (err error) {
	f.task.raw = raw
	defer func() {
		if p := recover(); p != nil {
			err = f.task.newFault(FaultDeserialization, f.node(), &Panic{Value: p})
		}
		if err != nil {
			err = f.task.settle(err, f.node(), raw.Timestamp, raw.Headers)
		}
		f.task.raw = nil
	}()
	return f.take(b, raw)
}

// Seal adds what the records in b amount to together. Call it once before each Commit.
func (f *Feed) Seal(b statestore.Batch) error { return f.restorer.Seal(b) }

func (f *Feed) node() *Node { return &Node{name: f.global.source, op: f.global.op} }

// partitionTime is where the time of a partition is kept.
func (f *Feed) partitionTime(partition int32) *int64 {
	for len(f.times) <= int(partition) {
		f.times = append(f.times, -1)
	}
	return &f.times[partition]
}

// globalFeeder is a Feed's typed part.
type globalFeeder[K, V any] struct {
	feed    *Feed
	decoder *decoder[K, V]
	rows    *encoder[K, V]
	time    TimestampFunc
}

func (a *globalFeeder[K, V]) take(b statestore.Batch, raw *RawRecord) error {
	f := a.feed
	at := f.partitionTime(raw.Partition)
	ts, err := a.time(raw, *at)
	if err != nil {
		return f.task.fault(FaultTimestamp, f.node(), err)
	}
	if ts < 0 {
		f.env.Dropped(f.global.source, DropTimestamp)
		return nil
	}
	*at = max(*at, ts)
	if err := a.decoder.decode(raw, ts); err != nil {
		return f.task.fault(FaultDeserialization, f.node(), err)
	}
	if a.decoder.rec.KeyNull {
		f.env.Dropped(f.global.table, DropNullKey)
		return nil
	}
	if err := a.rows.encode(&a.decoder.rec); err != nil {
		return f.task.fault(FaultInternal, f.node(), err)
	}
	return f.restorer.Add(b, a.rows.raw.Key, a.rows.raw.Value, ts)
}
