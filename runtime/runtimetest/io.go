package runtimetest

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Record is a record of an output topic.
type Record[K, V any] struct {
	Key                K
	Value              V
	KeyNull, ValueNull bool  // Key or Value is the zero value then
	Timestamp          int64 // ms since 1970
	Headers            []Header
	Partition          int32
	Offset             int64
}

// Pipe puts a record into a topic, in the partition of its key, and processes it and everything that comes of it. at is its time in milliseconds since 1970.
// A null key or value is that of a type that has one; for other types there is [PipeRaw]'s nil and [PipeTombstone].
func Pipe[K, V any](d *Driver, topic stream.Topic[K, V], key K, value V, at int64, headers ...Header) error {
	k, err := encode(topic.KeySerde(), key)
	if err != nil {
		return fmt.Errorf("runtimetest: topic %s: key: %w", topic.Name(), err)
	}
	v, err := encode(topic.ValueSerde(), value)
	if err != nil {
		return fmt.Errorf("runtimetest: topic %s: value: %w", topic.Name(), err)
	}
	return d.PipeRaw(topic.Name(), k, v, at, headers...)
}

// PipeTombstone is [Pipe] with a null value.
func PipeTombstone[K, V any](d *Driver, topic stream.Topic[K, V], key K, at int64, headers ...Header) error {
	k, err := encode(topic.KeySerde(), key)
	if err != nil {
		return fmt.Errorf("runtimetest: topic %s: key: %w", topic.Name(), err)
	}
	return d.PipeRaw(topic.Name(), k, nil, at, headers...)
}

// PipeRaw is [Pipe] with encoded key and value, nil being null.
func (d *Driver) PipeRaw(topic string, key, value []byte, at int64, headers ...Header) error {
	if d.failed != nil {
		return d.failed
	}
	l := d.log(topic)
	if len(l.readers) == 0 && d.globalOf(l) == nil {
		return fmt.Errorf("runtimetest: the topology reads no topic %q", topic)
	}
	r := topology.RawRecord{Key: key, Value: value, Timestamp: at, Headers: headers}
	if err := d.deliver(l, l.choose(key), copyRecord(&r), false); err != nil {
		return d.fail(err)
	}
	return d.run()
}

// encode returns nil for a null value.
func encode[T any](s serde.Serde[T], v T) ([]byte, error) {
	if isNull := serde.NullCheck[T](); isNull != nil && isNull(&v) {
		return nil, nil
	}
	return s.Append([]byte{}, v)
}

// Output returns the records that were written to a topic since the last call, in the order of writing. It fails the driver's next call, and returns what came
// before, when a record cannot be decoded.
func Output[K, V any](d *Driver, topic stream.Topic[K, V]) []Record[K, V] {
	var out []Record[K, V]
	for _, raw := range d.OutputRaw(topic.Name()) {
		r := Record[K, V]{KeyNull: raw.Key == nil, ValueNull: raw.Value == nil, Timestamp: raw.Timestamp, Headers: raw.Headers,
			Partition: raw.Partition, Offset: raw.Offset}
		var err error
		if !r.KeyNull {
			r.Key, err = topic.KeySerde().Decode(raw.Key)
		}
		if err == nil && !r.ValueNull {
			r.Value, err = topic.ValueSerde().Decode(raw.Value)
		}
		if err != nil {
			d.fail(fmt.Errorf("runtimetest: topic %s, partition %d, offset %d: %w", topic.Name(), raw.Partition, raw.Offset, err))
			return out
		}
		out = append(out, r)
	}
	return out
}

// RawRecord is a record as it lies in a topic.
type RawRecord = topology.RawRecord

// OutputRaw is [Output] without decoding. The records must not be changed. Internal topics have the application's id before their name.
func (d *Driver) OutputRaw(topic string) []RawRecord {
	l := d.logs[topic]
	if l == nil {
		return nil
	}
	var out []RawRecord
	for _, p := range l.written[l.read:] {
		out = append(out, l.partitions[p.partition][p.offset])
	}
	l.read = len(l.written)
	return out
}
