package topology

import (
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// Serdes are the encodings of a topic.
type Serdes[K, V any] struct {
	Key   serde.Serde[K]
	Value serde.Serde[V]
}

// check reports serdes that are missing.
func (s Serdes[K, V]) check(g *Graph, op Op, topic string) {
	if s.Key == nil {
		g.Fault(op, "topic %q has no serde for its keys", topic)
	}
	if s.Value == nil {
		g.Fault(op, "topic %q has no serde for its values", topic)
	}
}

// decoder turns raw records of one source into the one typed record that it reuses.
type decoder[K, V any] struct {
	serdes    Serdes[K, V]
	keyNull   func(*K) bool // nil: no key of this type is null
	valueNull func(*V) bool
	rec       Record[K, V]
}

func newDecoder[K, V any](s Serdes[K, V]) *decoder[K, V] {
	return &decoder[K, V]{serdes: s, keyNull: serde.NullCheck[K](), valueNull: serde.NullCheck[V]()}
}

func (d *decoder[K, V]) decode(raw *RawRecord, timestamp int64) (err error) {
	r := &d.rec
	if raw.Key == nil {
		var zero K
		r.Key, r.KeyNull = zero, true
	} else {
		if r.Key, err = d.serdes.Key.Decode(raw.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		r.KeyNull = d.keyNull != nil && d.keyNull(&r.Key)
	}
	if raw.Value == nil {
		var zero V
		r.Value, r.ValueNull = zero, true
	} else {
		if r.Value, err = d.serdes.Value.Decode(raw.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
		r.ValueNull = d.valueNull != nil && d.valueNull(&r.Value)
	}
	r.Timestamp, r.Headers = timestamp, raw.Headers
	return nil
}

// AddTopicSource adds a source that decodes the records of its topics with one pair of serdes.
func AddTopicSource[K, V any](g *Graph, op Op, name string, spec SourceSpec, s Serdes[K, V]) *Node {
	for _, t := range spec.Topics {
		s.check(g, op, t.Name)
	}
	if spec.Pattern != nil {
		s.check(g, op, spec.shownPattern())
	}
	return AddSource(g, op, name, spec, func(w *Wiring, n *Node, next Sink[K, V]) Entry {
		d := newDecoder(s)
		at, id := w.At(n)
		t := w.task
		return func(raw *RawRecord, timestamp int64) error {
			*at, t.phase = id, FaultDeserialization
			err := d.decode(raw, timestamp)
			t.phase = FaultProcessing
			if err != nil {
				return t.newFault(FaultDeserialization, n, err)
			}
			t.streamTime = max(t.streamTime, timestamp)
			return next(&d.rec)
		}
	}).MakesRecords()
}

// EventTime makes a timestamp extractor from a function over the decoded record, which has its own time, and the highest event time of the partition so far, each -1
// when there is none.
func EventTime[K, V any](s Serdes[K, V], f func(r *Record[K, V], partitionTime int64) int64) func(w *Wiring) TimestampFunc {
	return func(w *Wiring) TimestampFunc {
		d := newDecoder(s)
		t := w.task
		return func(raw *RawRecord, partitionTime int64) (int64, error) {
			t.phase = FaultDeserialization
			err := d.decode(raw, raw.Timestamp)
			t.phase = FaultTimestamp
			if err != nil {
				return 0, t.newFault(FaultDeserialization, t.current(), err)
			}
			return f(&d.rec, partitionTime), nil
		}
	}
}

// partitionKeyer is a key serde whose keys are partitioned by a part of them, as windowed keys are by the inner key.
type partitionKeyer interface {
	PartitionKey(encoded []byte) []byte
}

// initialBuffer is the first size of a sink's encoding buffers: most keys fit, larger ones grow it once.
const initialBuffer = 64

// encoder turns typed records into the one raw record that it reuses.
type encoder[K, V any] struct {
	serdes Serdes[K, V]
	raw    RawRecord
	key    []byte
	value  []byte
}

func newEncoder[K, V any](s Serdes[K, V]) *encoder[K, V] {
	return &encoder[K, V]{serdes: s, key: make([]byte, 0, initialBuffer), value: make([]byte, 0, initialBuffer)}
}

func (e *encoder[K, V]) encode(r *Record[K, V]) (err error) {
	if r.Timestamp < 0 {
		return fmt.Errorf("the time %d is before 1970", r.Timestamp)
	}
	e.raw.Key, e.raw.Value = nil, nil
	if !r.KeyNull {
		if e.key, err = e.serdes.Key.Append(e.key[:0], r.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		e.raw.Key = e.key
	}
	if !r.ValueNull {
		if e.value, err = e.serdes.Value.Append(e.value[:0], r.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
		e.raw.Value = e.value
	}
	e.raw.Timestamp, e.raw.Headers = r.Timestamp, r.Headers
	return nil
}
