package record

import (
	"encoding/binary"
	"fmt"
)

// ControlType says what a control record tells.
type ControlType int16

// The control records that a partition's log may hold. The others of Kafka belong to its metadata log.
const (
	AbortMarker  ControlType = 0
	CommitMarker ControlType = 1
)

// Marker ends a producer's transaction in one partition.
type Marker struct {
	Type             ControlType // AbortMarker or CommitMarker
	CoordinatorEpoch int32       // the epoch of the coordinator that decided
}

// controlVersion is the version of a control record's key and of a marker's value.
const controlVersion = 0

// FinishMarker makes the batch of one marker in b, which it resets. The batch is valid until b is used again.
func (b *Builder) FinishMarker(now int64, id ProducerID, epoch ProducerEpoch, m Marker) Batch {
	var key [4]byte
	binary.BigEndian.PutUint16(key[:], controlVersion)
	binary.BigEndian.PutUint16(key[2:], uint16(m.Type))
	var value [6]byte
	binary.BigEndian.PutUint16(value[:], controlVersion)
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	b.Reset()
	b.AppendRecord(now, key[:], value[:], nil)
	return b.Finish(Producer{ID: id, Epoch: epoch, BaseSequence: NoSequence}, Transactional|Control, None)
}

// ParseControlType reads the key of a control record. Types and versions that this package does not know are returned as they are.
func ParseControlType(key []byte) (ControlType, error) {
	if len(key) < 4 {
		return 0, fmt.Errorf("%w: control record with a key of %d bytes", ErrCorrupt, len(key))
	}
	if v := int16(binary.BigEndian.Uint16(key)); v < 0 {
		return 0, fmt.Errorf("%w: control record of version %d", ErrCorrupt, v)
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// ParseMarker reads a commit or abort marker from a control record.
func ParseMarker(r *Record) (Marker, error) {
	t, err := ParseControlType(r.Key)
	if err != nil {
		return Marker{}, err
	}
	if t != AbortMarker && t != CommitMarker {
		return Marker{}, fmt.Errorf("%w: control type %d is no transaction marker", ErrCorrupt, t)
	}
	if len(r.Value) < 6 {
		return Marker{}, fmt.Errorf("%w: transaction marker with a value of %d bytes", ErrCorrupt, len(r.Value))
	}
	return Marker{Type: t, CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}, nil
}

// Marker reads the marker that the control batch b holds; ok is false when b is no control batch, is empty, or tells something else.
func (b Batch) Marker() (m Marker, ok bool, err error) {
	if !b.Attributes().IsControl() || b.Count() == 0 {
		return Marker{}, false, nil
	}
	it, err := b.Records(nil)
	if err != nil {
		return Marker{}, false, err
	}
	var r Record
	if !it.Next(&r) {
		return Marker{}, false, it.Err()
	}
	if t, err := ParseControlType(r.Key); err != nil || (t != AbortMarker && t != CommitMarker) {
		return Marker{}, false, err
	}
	m, err = ParseMarker(&r)
	return m, err == nil, err
}
