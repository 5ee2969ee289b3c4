package ktable

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// ForeignKey is the handle of a foreign-key join: its name, which is durable, and how the keys and rows of both tables are encoded on the way. The application
// owns the topics <app>-<name>-subscription-registration-topic and <app>-<name>-subscription-response-topic and the store <name>-subscription-store.
// Methods return a changed copy.
type ForeignKey[K, V, FK, W any] struct {
	name           string
	left           topology.Serdes[K, V]
	right          topology.Serdes[FK, W]
	partition      func(key K, partitions int) int
	rightPartition func(key FK, partitions int) int
	inMemory       bool
	config         [][2]string // settings of the store's changelog
}

// NewForeignKey describes the join of a table with keys of type K and rows of type V, each of which names a key of type FK of another table, with rows of
// type W. A right row that encodes to no bytes counts as none, since the format, which is Kafka Streams', does not tell them apart.
func NewForeignKey[K, V, FK, W any](name string, leftKey serde.Serde[K], left serde.Serde[V], rightKey serde.Serde[FK], right serde.Serde[W]) ForeignKey[K, V, FK, W] {
	return ForeignKey[K, V, FK, W]{name: name, left: topology.Serdes[K, V]{Key: leftKey, Value: left}, right: topology.Serdes[FK, W]{Key: rightKey, Value: right}}
}

// LeftPartition says how the topic of the left table is partitioned when that is not by a hash of the key: answers follow it. Without it they go where
// the left row came from.
func (f ForeignKey[K, V, FK, W]) LeftPartition(choose func(key K, partitions int) int) ForeignKey[K, V, FK, W] {
	f.partition = choose
	return f
}

// RightPartition says how the topic of the right table is partitioned when that is not by a hash of the key: subscriptions follow it.
func (f ForeignKey[K, V, FK, W]) RightPartition(choose func(key FK, partitions int) int) ForeignKey[K, V, FK, W] {
	f.rightPartition = choose
	return f
}

// InMemory keeps the join's store in memory even when the application keeps its state on disk.
func (f ForeignKey[K, V, FK, W]) InMemory() ForeignKey[K, V, FK, W] {
	f.inMemory = true
	return f
}

// ChangelogConfig sets a topic setting of the changelog of the join's store, by Kafka's name.
func (f ForeignKey[K, V, FK, W]) ChangelogConfig(key, value string) ForeignKey[K, V, FK, W] {
	f.config = append(slices.Clip(f.config), [2]string{key, value})
	return f
}

// JoinForeign joins each row of the left table with the row of the right one that it refers to: foreignKey tells the right row's key, or false when the row
// refers to none, which is counted as a drop. The result has the left table's keys, and changes with either side. Both tables must keep rows to look up;
// they need not be partitioned alike. A change of the left row has the later time of both rows, a change of the right row its own. With a store, the result is kept there; without one it cannot be looked up.
func JoinForeign[K, V, FK, W, R any](left *Table[K, V], right *Table[FK, W], foreignKey func(row V) (FK, bool), join func(left V, right W) R,
	via ForeignKey[K, V, FK, W], store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.JoinForeign")
	requireFunc(left.graph(), op, foreignKey == nil || join == nil)
	return joinForeign(op, left, right, false, func(_ context.Context, _ K, v V) (FK, bool, error) {
		fk, ok := foreignKey(v)
		return fk, ok, nil
	}, func(_ context.Context, _ K, v V, w W, _ bool) (R, error) { return join(v, w), nil }, via, store)
}

// JoinForeignCtx is [JoinForeign] with functions that see the left row's key and may fail.
func JoinForeignCtx[K, V, FK, W, R any](left *Table[K, V], right *Table[FK, W], foreignKey func(ctx context.Context, key K, row V) (FK, bool, error),
	join func(ctx context.Context, key K, left V, right W) (R, error), via ForeignKey[K, V, FK, W], store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.JoinForeignCtx")
	requireFunc(left.graph(), op, foreignKey == nil || join == nil)
	return joinForeign(op, left, right, false, foreignKey,
		func(ctx context.Context, k K, v V, w W, _ bool) (R, error) { return join(ctx, k, v, w) }, via, store)
}

// LeftJoinForeign is [JoinForeign] whose result has a row for every left row: found is false when the right table has none for it, or it refers to none, and
// right is the zero value then.
func LeftJoinForeign[K, V, FK, W, R any](left *Table[K, V], right *Table[FK, W], foreignKey func(row V) (FK, bool), join func(left V, right W, found bool) R,
	via ForeignKey[K, V, FK, W], store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.LeftJoinForeign")
	requireFunc(left.graph(), op, foreignKey == nil || join == nil)
	return joinForeign(op, left, right, true, func(_ context.Context, _ K, v V) (FK, bool, error) {
		fk, ok := foreignKey(v)
		return fk, ok, nil
	}, func(_ context.Context, _ K, v V, w W, found bool) (R, error) { return join(v, w, found), nil }, via, store)
}

// LeftJoinForeignCtx is [LeftJoinForeign] with functions that see the left row's key and may fail.
func LeftJoinForeignCtx[K, V, FK, W, R any](left *Table[K, V], right *Table[FK, W], foreignKey func(ctx context.Context, key K, row V) (FK, bool, error),
	join func(ctx context.Context, key K, left V, right W, found bool) (R, error), via ForeignKey[K, V, FK, W], store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.LeftJoinForeignCtx")
	requireFunc(left.graph(), op, foreignKey == nil || join == nil)
	return joinForeign(op, left, right, true, foreignKey, join, via, store)
}

// foreignJoin is a foreign-key join while the graph is built:
//
//	left table ─▶ subscriber ─▶ registration topic ─▶ publisher ─┬▶ response topic ─▶ resolver ─▶ result
//	                                      right table ─▶ updates ─┘
//
// The subscriber runs with the left table's tasks and the publisher with the right table's, which keeps the subscriptions. An answer carries the hash of
// the left row that asked: when that has changed meanwhile, another answer is on its way.
type foreignJoin[K, V, FK, W, R any] struct {
	op         topology.Op
	g          *topology.Graph
	left       *Table[K, V]
	right      *Table[FK, W]
	isLeft     bool
	foreignKey func(ctx context.Context, key K, row V) (FK, bool, error)
	join       func(ctx context.Context, key K, left V, right W, found bool) (R, error)
	via        ForeignKey[K, V, FK, W]

	subscriptions subscriptionSerde[K]
	responses     responseSerde[W]
	subscribers   subscriberSerde[FK, K]
	store         *statestore.KeyValueSpec[subscriber[FK, K], subscription[K]]
}

// The names of what a foreign-key join owns, after the user's name and before the topics' own suffixes.
const (
	registrationSuffix = "-subscription-registration-topic"
	responseSuffix     = "-subscription-response-topic"
	subscriptionSuffix = "-subscription-store"
)

func joinForeign[K, V, FK, W, R any](op topology.Op, left *Table[K, V], right *Table[FK, W], isLeft bool,
	foreignKey func(context.Context, K, V) (FK, bool, error), join func(context.Context, K, V, W, bool) (R, error),
	via ForeignKey[K, V, FK, W], store []statestore.TableSpec[K, R]) *Table[K, R] {
	j := &foreignJoin[K, V, FK, W, R]{op: op, g: left.graph(), left: left, right: right, isLeft: isLeft, foreignKey: foreignKey, join: join, via: via,
		subscriptions: subscriptionSerde[K]{via.left.Key}, responses: responseSerde[W]{via.right.Value}, subscribers: subscriberSerde[FK, K]{via.right.Key, via.left.Key}}
	if !j.check() {
		return &Table[K, R]{node: left.node, old: &oldValues{never: true}}
	}
	kept := checkOptional(j.g, op, store)
	j.store = statestore.KeyValue[subscriber[FK, K], subscription[K]](via.name+subscriptionSuffix, j.subscribers, j.subscriptions)
	if via.inMemory {
		j.store = j.store.InMemory()
	}
	for _, c := range via.config {
		j.store = j.store.ChangelogConfig(c[0], c[1])
	}
	left.old.ask()
	resolved := j.addResolver(j.addPublisher(j.addSubscriber()))
	const output = "KTABLE-FK-JOIN-OUTPUT-"
	if !kept {
		return latest[K, R](j.g, op, output, resolved, nil)
	}
	if versioned, ok := store[0].(*statestore.VersionedSpec[K, R]); ok {
		return versionedRows(j.g, op, output, resolved, versioned)
	}
	return latest(j.g, op, output, resolved, store[0].(*statestore.KeyValueSpec[K, R]))
}

// check reports what would make it useless to go on.
func (j *foreignJoin[K, V, FK, W, R]) check() bool {
	ok := true
	fault := func(format string, args ...any) {
		j.g.Fault(j.op, format, args...)
		ok = false
	}
	if j.via.name == "" {
		fault("a foreign-key join needs a name")
	}
	if j.via.left.Key == nil || j.via.left.Value == nil || j.via.right.Key == nil || j.via.right.Value == nil {
		fault("the foreign key %q lacks a serde", j.via.name)
	}
	if j.right.graph() != j.g {
		fault("takes a table of another Builder")
	}
	if j.left.lookup == nil {
		fault("the table of %s keeps no rows to look up: give it a store", j.left.node.Op().Site)
	}
	if j.right.lookup == nil {
		fault("the table of %s keeps no rows to look up: give it a store", j.right.node.Op().Site)
	}
	for _, suffix := range [...]string{registrationSuffix, responseSuffix} {
		if _, taken := j.g.Repartition(j.op, topology.TopicRef{Name: j.via.name + suffix, Internal: true}, nil); taken {
			ok = false // the fault is recorded
		}
	}
	return ok
}

// addTopic adds an internal topic and returns the source below it. The topic's records must meet those of the table beside.
func addTopic[K, V any](g *topology.Graph, op topology.Op, name string, s topology.Serdes[K, V], route topology.Route[K, V], beside *topology.Node, from ...*topology.Node) *topology.Node {
	ref := topology.TopicRef{Name: name, Internal: true}
	sink := topology.AddSinkTo(g, op, g.NextName("KTABLE-SINK-"), from, topology.SinkSpec[K, V]{Topic: ref, Serdes: s, Route: route})
	source := topology.AddTopicSource(g, op, g.NextName("KTABLE-SOURCE-"), topology.SourceSpec{Topics: []topology.TopicRef{ref}, Reset: topology.ResetEarliest}, s)
	g.AddRepartition(op, ref, 0, from[0], sink, source, nil)
	g.Copartition(op, source, beside)
	return source
}

// addSubscriber adds what follows the left table, and returns the source of the registration topic.
func (j *foreignJoin[K, V, FK, W, R]) addSubscriber() *topology.Node {
	n := topology.AddProcessor(j.g, j.op, j.g.NextName("KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-"), j.left.parents(), j.wireSubscriber)
	var route topology.Route[FK, subscription[K]]
	if choose := j.via.rightPartition; choose != nil {
		route = func(r *topology.Record[FK, subscription[K]], n int32) int32 {
			if r.KeyNull {
				return -1
			}
			return int32(choose(r.Key, int(n)))
		}
	}
	return addTopic(j.g, j.op, j.via.name+registrationSuffix, topology.Serdes[FK, subscription[K]]{Key: j.via.right.Key, Value: j.subscriptions}, route, j.right.node, n)
}

// addPublisher adds what runs beside the right table, and returns the source of the response topic.
func (j *foreignJoin[K, V, FK, W, R]) addPublisher(registrations *topology.Node) *topology.Node {
	name := j.store.StoreName()
	answers := topology.AddProcessor(j.g, j.op, j.g.NextName("KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-"), []*topology.Node{registrations}, j.wirePublisher)
	j.g.AddStore(j.op, answers, j.store)
	j.g.Connect(answers, j.right.stores...)
	updates := topology.AddProcessor(j.g, j.op, j.g.NextName("KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-"), j.right.parents(), j.wireUpdates)
	j.g.Connect(updates, name)
	route := func(r *topology.Record[K, response[W]], _ int32) int32 { return r.Value.partition }
	if choose := j.via.partition; choose != nil {
		route = func(r *topology.Record[K, response[W]], n int32) int32 { return int32(choose(r.Key, int(n))) }
	}
	return addTopic(j.g, j.op, j.via.name+responseSuffix, topology.Serdes[K, response[W]]{Key: j.via.left.Key, Value: j.responses}, route, j.left.node, answers, updates)
}

// addResolver adds what turns answers into results.
func (j *foreignJoin[K, V, FK, W, R]) addResolver(responses *topology.Node) *topology.Node {
	n := topology.AddProcessor(j.g, j.op, j.g.NextName("KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-"), []*topology.Node{responses}, j.wireResolver)
	j.g.Connect(n, j.left.stores...)
	return n
}
