package stream

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// SourceOption changes how [From] reads a topic.
type SourceOption func(*sourceConfig)

type sourceConfig struct {
	reset   topology.ResetPolicy
	invalid invalidTime
	reused  bool // as the changelog of a table's store
	limited bool
	maxJump time.Duration // where limited
	idles   bool
	idle    time.Duration // where idles
}

// invalidTime says what becomes of a record whose own timestamp is negative.
type invalidTime int8

const (
	failOnInvalid invalidTime = iota
	skipInvalid
	partitionTime
	wallClock
)

// FromEarliest begins at the first record of the topic when the application has not read it before. This is the default.
func FromEarliest() SourceOption {
	return func(c *sourceConfig) { c.reset = topology.ResetEarliest }
}

// FromLatest begins at the end of the topic when the application has not read it before.
func FromLatest() SourceOption {
	return func(c *sourceConfig) { c.reset = topology.ResetLatest }
}

// FromAgo begins at the first record whose time is at most d before now when the application has not read the topic before, and at the end when all are older. Records
// that follow the first one are read whatever their time. It is the time that the log knows, not an event time that is found by reading.
func FromAgo(d time.Duration) SourceOption {
	return func(c *sourceConfig) { c.reset = topology.ResetAgo(d) }
}

// FromCommitted reads only where the application has read before, and fails otherwise.
func FromCommitted() SourceOption {
	return func(c *sourceConfig) { c.reset = topology.ResetNone }
}

// SkipInvalidTimestamps drops and counts records whose timestamp is negative; by default they are a fault.
func SkipInvalidTimestamps() SourceOption {
	return func(c *sourceConfig) { c.invalid = skipInvalid }
}

// UsePartitionTime gives a record whose timestamp is negative the highest time of its partition so far; it is a fault when there is none yet.
func UsePartitionTime() SourceOption {
	return func(c *sourceConfig) { c.invalid = partitionTime }
}

// UseWallClock gives every record the time at which it is read.
func UseWallClock() SourceOption {
	return func(c *sourceConfig) { c.invalid = wallClock }
}

// AsChangelog makes the topic of a table (From of package ktable) the changelog of its store, which then has none of its own: what is written once is not written again. The
// topic must be compacted, and its serdes must be those of the store. A record that a fault handler skipped by its content, not because it could not be decoded,
// cannot be told from others when the store is restored.
func AsChangelog() SourceOption {
	return func(c *sourceConfig) { c.reused = true }
}

// sourceUse is a topic that a builder reads already.
type sourceUse struct {
	stream any // *Stream[K, V]
	config sourceConfig
}

// From reads a topic. Reading it twice with equal types and options gives the same stream.
func From[K, V any](b *Builder, topic Topic[K, V], opts ...SourceOption) *Stream[K, V] {
	op := topology.Here("stream.From")
	c := configOf(opts)
	was, again := b.sources[topic.name]
	if again && topic.eventTime == nil && was.config == c {
		if s, ok := was.stream.(*Stream[K, V]); ok {
			return s
		}
	}
	s := OfEdge(topology.Edge[K, V]{Node: AddSource(b, op, []Topic[K, V]{topic}, false, opts...)})
	if !again && topic.eventTime == nil {
		if b.sources == nil {
			b.sources = map[string]sourceUse{}
		}
		b.sources[topic.name] = sourceUse{stream: s, config: c}
	}
	return s
}

// FromAll reads several topics of equal types as one stream. Records keep their order within a partition only. The serdes and the event time are
// those of the first topic.
func FromAll[K, V any](b *Builder, topics []Topic[K, V], opts ...SourceOption) *Stream[K, V] {
	op := topology.Here("stream.FromAll")
	if len(topics) == 0 {
		b.Graph().Fault(op, "there is no topic to read")
		topics = []Topic[K, V]{{}}
	}
	return OfEdge(topology.Edge[K, V]{Node: AddSource(b, op, topics, false, opts...)})
}

// FromPattern reads all topics whose whole names match a regular expression, as one stream; form says how they are encoded and what their time is, and its name means
// nothing. The topics are those that exist when the application starts: of instances that start at different times, each reads what it found. A topic that
// another source reads must not match.
func FromPattern[K, V any](b *Builder, pattern string, form Topic[K, V], opts ...SourceOption) *Stream[K, V] {
	op, g, c := topology.Here("stream.FromPattern"), b.Graph(), configOf(opts)
	re, err := topology.Pattern(pattern)
	if err != nil {
		g.Fault(op, "the pattern is no regular expression: %w", err)
		re, _ = topology.Pattern("")
	}
	if c.reused {
		g.Fault(op, "only the topic of a table can be a changelog")
	}
	spec := topology.SourceSpec{Pattern: re, Reset: c.checkReset(op, g), Idle: c.checkIdle(op, g), Timestamps: timestampsOf(b, op, form, c)}
	return OfEdge(topology.Edge[K, V]{Node: topology.AddTopicSource(g, op, g.NextName("KSTREAM-SOURCE-"), spec, form.serdes)})
}

// checkReset reports a policy that makes no sense, and returns it.
func (c *sourceConfig) checkReset(op topology.Op, g *topology.Graph) topology.ResetPolicy {
	if d, ok := c.reset.Ago(); ok && d < 0 {
		g.Fault(op, "reading is to begin %v ago: give 0 or more", d)
	}
	return c.reset
}

func configOf(opts []SourceOption) (c sourceConfig) {
	for _, o := range opts {
		o(&c)
	}
	return c
}

// GlobalSource is internal: it reads what options mean for a global table, which is always read from its beginning.
func GlobalSource[K, V any](b *Builder, op topology.Op, topic Topic[K, V], opts ...SourceOption) (ref topology.TopicRef, s topology.Serdes[K, V], timestamps func(*topology.Wiring) topology.TimestampFunc) {
	c := configOf(opts)
	if c.reused {
		b.Graph().Fault(op, "a global table has no changelog: its topic is all it needs")
	}
	if c.reset != topology.ResetDefault && c.reset != topology.ResetEarliest {
		b.Graph().Fault(op, "a global table holds its whole topic: an option about where to begin contradicts it")
	}
	if c.idles {
		b.Graph().Fault(op, "a global table has no time that could go on in a silence")
	}
	if c.limited {
		b.Graph().Fault(op, "a global table has no time that a record could move")
	}
	return topology.TopicRef{Name: topic.name}, topic.serdes, timestampsOf(b, op, topic, c)
}

// ReusedSource is internal: it tells whether the options make a topic a changelog, and reports what contradicts that.
func ReusedSource[K, V any](b *Builder, op topology.Op, topic Topic[K, V], opts ...SourceOption) bool {
	c := configOf(opts)
	if c.reused && (topic.eventTime != nil || c.invalid != failOnInvalid && c.invalid != skipInvalid) {
		b.Graph().Fault(op, "topic %q is to be a changelog, but its records get other times than they have: a restore would not know them", topic.name)
	}
	return c.reused
}

// AddSource is internal: it adds the node that reads topics for a stream or a table.
func AddSource[K, V any](b *Builder, op topology.Op, topics []Topic[K, V], table bool, opts ...SourceOption) *topology.Node {
	c, g := configOf(opts), b.Graph()
	if c.reused && !table {
		g.Fault(op, "only the topic of a table can be a changelog")
	}
	spec := topology.SourceSpec{Reset: c.checkReset(op, g), Idle: c.checkIdle(op, g), Table: table, Timestamps: timestampsOf(b, op, topics[0], c)}
	for _, t := range topics {
		spec.Topics = append(spec.Topics, topology.TopicRef{Name: t.name})
	}
	return topology.AddTopicSource(g, op, g.NextName("KSTREAM-SOURCE-"), spec, topics[0].serdes)
}

// timestampsOf returns the extractor of a topic that is read with the options; nil is the topology's default.
func timestampsOf[K, V any](b *Builder, op topology.Op, topic Topic[K, V], c sourceConfig) func(*topology.Wiring) topology.TimestampFunc {
	if c.limited && c.maxJump < time.Millisecond {
		b.Graph().Fault(op, "time jumps of %v at most: give 1ms or more", c.maxJump)
	}
	if topic.eventTime == nil {
		return c.limit(timestamps(c.invalid))
	}
	if c.invalid != failOnInvalid {
		b.Graph().Fault(op, "topic %q has an event time of its own: an option about timestamps contradicts it", topic.name)
	}
	return c.limit(topology.EventTime(topic.serdes, topic.eventTime))
}

// timestamps returns the extractor of an option; nil is the topology's default, which fails on invalid times.
func timestamps(how invalidTime) func(*topology.Wiring) topology.TimestampFunc {
	switch how {
	case skipInvalid:
		return func(*topology.Wiring) topology.TimestampFunc {
			return func(raw *topology.RawRecord, _ int64) (int64, error) { return raw.Timestamp, nil }
		}
	case partitionTime:
		return func(*topology.Wiring) topology.TimestampFunc { return ownOrPartitionTime }
	case wallClock:
		return func(w *topology.Wiring) topology.TimestampFunc {
			env := w.Env()
			return func(*topology.RawRecord, int64) (int64, error) { return env.Now(), nil }
		}
	}
	return nil
}

func ownOrPartitionTime(raw *topology.RawRecord, partitionTime int64) (int64, error) {
	if raw.Timestamp >= 0 {
		return raw.Timestamp, nil
	}
	if partitionTime < 0 {
		return 0, fmt.Errorf("the record has the negative timestamp %d, and no record of its partition had a valid one before", raw.Timestamp)
	}
	return partitionTime, nil
}
