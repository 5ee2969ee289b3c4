package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// HeaderSize is the size of a batch without records. A batch of this size is legal: compaction leaves it behind for a producer's last sequence.
const HeaderSize = 61

// LogOverhead is the size of the two fields before what the length field counts.
const LogOverhead = 12

// The fields' places in a batch.
const (
	posBaseOffset      = 0
	posLength          = 8
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posCount           = 57
)

const currentMagic = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is one complete batch, from its base offset to its last byte. It is a view: it lives as long as the buffer under it.
//
// Its methods read fields without looking at others; they panic on fewer than [HeaderSize] bytes. A Batch from [Next], [Builder.Finish] or
// after [Batch.Check] is long enough.
type Batch []byte

// BaseOffset returns the offset of the batch's first record, present or compacted away.
func (b Batch) BaseOffset() Offset { return Offset(b.int64At(posBaseOffset)) }

// LastOffset returns the offset of the batch's last record, present or compacted away.
func (b Batch) LastOffset() Offset { return b.BaseOffset() + Offset(b.LastOffsetDelta()) }

// NextOffset returns the offset after the batch.
func (b Batch) NextOffset() Offset { return b.LastOffset() + 1 }

// LeaderEpoch returns the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() LeaderEpoch { return LeaderEpoch(b.int32At(posLeaderEpoch)) }

// Magic returns the version of the format.
func (b Batch) Magic() int8 { return int8(b[posMagic]) }

// CRC returns the checksum that the batch carries.
func (b Batch) CRC() uint32 { return uint32(b.int32At(posCRC)) }

// Attributes returns the batch's flags.
func (b Batch) Attributes() Attributes { return Attributes(binary.BigEndian.Uint16(b[posAttributes:])) }

// LastOffsetDelta returns the distance of the last offset from the base offset.
func (b Batch) LastOffsetDelta() int32 { return b.int32At(posLastOffsetDelta) }

// BaseTimestamp returns what the records' timestamps are counted from: milliseconds since 1970.
func (b Batch) BaseTimestamp() int64 { return b.int64At(posBaseTimestamp) }

// MaxTimestamp returns the largest timestamp of the batch's records, or the time of the append under [LogAppendTime].
func (b Batch) MaxTimestamp() int64 { return b.int64At(posMaxTimestamp) }

// ProducerID returns who wrote the batch, or [NoProducerID].
func (b Batch) ProducerID() ProducerID { return ProducerID(b.int64At(posProducerID)) }

// ProducerEpoch returns the epoch of the producer that wrote the batch.
func (b Batch) ProducerEpoch() ProducerEpoch {
	return ProducerEpoch(binary.BigEndian.Uint16(b[posProducerEpoch:]))
}

// BaseSequence returns the sequence number of the first record, or [NoSequence].
func (b Batch) BaseSequence() int32 { return b.int32At(posBaseSequence) }

// LastSequence returns the sequence number of the last record, or [NoSequence].
func (b Batch) LastSequence() int32 {
	if base := b.BaseSequence(); base != NoSequence {
		return AddSequence(base, b.LastOffsetDelta())
	}
	return NoSequence
}

// Producer returns what the batch says about its producer.
func (b Batch) Producer() Producer {
	return Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence()}
}

// Count returns how many records the batch says it holds.
func (b Batch) Count() int { return int(b.int32At(posCount)) }

// DeleteHorizon returns the time, in milliseconds since 1970, from which compaction may remove the batch's tombstones or marker.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	if !b.Attributes().HasDeleteHorizon() {
		return NoTimestamp, false
	}
	return b.BaseTimestamp(), true
}

// RawRecords returns the records' bytes as they lie, compressed or not.
func (b Batch) RawRecords() []byte { return b[HeaderSize:] }

// SetBaseOffset moves the batch. The field lies outside the checksum.
func (b Batch) SetBaseOffset(o Offset) {
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(o))
}

// SetLeaderEpoch stamps the batch with the leader's epoch. The field lies outside the checksum.
func (b Batch) SetLeaderEpoch(e LeaderEpoch) {
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(e))
}

// SetMaxTimestamp sets the largest timestamp and whether the log has set it, and renews the checksum if that changes anything.
func (b Batch) SetMaxTimestamp(ms int64, logAppendTime bool) {
	a := b.Attributes() &^ LogAppendTime
	if logAppendTime {
		a |= LogAppendTime
	}
	if a == b.Attributes() && ms == b.MaxTimestamp() {
		return
	}
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(a))
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(ms))
	b.UpdateCRC()
}

// SetProducer replaces the producer's fields and renews the checksum.
func (b Batch) SetProducer(p Producer) {
	binary.BigEndian.PutUint64(b[posProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[posProducerEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[posBaseSequence:], uint32(p.BaseSequence))
	b.UpdateCRC()
}

// UpdateCRC makes the checksum match the bytes.
func (b Batch) UpdateCRC() {
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], castagnoli))
}

// Check tells whether b is exactly one whole batch of format v2 whose checksum holds. It does not look at the records.
func (b Batch) Check() error {
	if err := b.CheckHeader(); err != nil {
		return err
	}
	return b.CheckSum()
}

// CheckSum tells whether the checksum holds of b, which has the length that it names.
func (b Batch) CheckSum() error {
	if have, want := b.CRC(), crc32.Checksum(b[posAttributes:], castagnoli); have != want {
		return fmt.Errorf("%w at offset %d: crc mismatch (have %08x, want %08x)", ErrCorrupt, b.BaseOffset(), have, want)
	}
	return nil
}

// CheckHeader is [Batch.Check] without the checksum: b has the length that it names, and its header makes sense.
func (b Batch) CheckHeader() error {
	if len(b) < posMagic+1 {
		return ErrShort
	}
	if m := b.Magic(); m != currentMagic {
		return magicError(m)
	}
	if size := int64(b.int32At(posLength)) + LogOverhead; len(b) < HeaderSize || size != int64(len(b)) {
		return fmt.Errorf("%w: batch says %d bytes, has %d", ErrCorrupt, size, len(b))
	}
	if b.BaseOffset() < 0 {
		return fmt.Errorf("%w: base offset %d", ErrCorrupt, b.BaseOffset())
	}
	if delta, count := b.LastOffsetDelta(), b.Count(); delta < 0 || count < 0 || int64(count) > int64(delta)+1 {
		return fmt.Errorf("%w at offset %d: %d records in %d offsets", ErrCorrupt, b.BaseOffset(), count, int64(delta)+1)
	}
	if b.LastOffset() < b.BaseOffset() {
		return fmt.Errorf("%w: offsets run past the largest number", ErrCorrupt)
	}
	return nil
}

func magicError(m int8) error {
	if m == 0 || m == 1 {
		return ErrOldFormat
	}
	return fmt.Errorf("%w: magic %d", ErrCorrupt, m)
}

func (b Batch) int32At(i int) int32 { return int32(binary.BigEndian.Uint32(b[i:])) }
func (b Batch) int64At(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }

// Next splits the first batch off buf. It checks that the batch lies wholly in buf and that it is of format v2, and nothing more: see
// [Batch.Check]. The error is [ErrShort] when buf ends inside the batch (an empty buf included), [ErrOldFormat], or [ErrCorrupt].
func Next(buf []byte) (b Batch, rest []byte, err error) {
	size, err := SizeOf(buf)
	if err != nil {
		return nil, buf, err
	}
	if size > len(buf) {
		return nil, buf, ErrShort
	}
	return Batch(buf[:size:size]), buf[size:], nil
}

// SizeOf returns the size of the batch that buf begins with; buf may hold less than all of it. It needs 17 bytes to tell.
func SizeOf(buf []byte) (int, error) {
	if len(buf) < posMagic+1 {
		return 0, ErrShort
	}
	b := Batch(buf)
	if m := b.Magic(); m != currentMagic {
		return 0, magicError(m)
	}
	length := b.int32At(posLength)
	if length < HeaderSize-LogOverhead {
		return 0, fmt.Errorf("%w: length %d", ErrCorrupt, length)
	}
	return int(min(int64(length)+LogOverhead, math.MaxInt)), nil // an int of 32 bits does not hold the longest
}

// All walks the batches that lie one after the other in buf. A torn last batch or a corrupt one ends the walk with its error.
func All(buf []byte) func(yield func(Batch, error) bool) {
	return func(yield func(Batch, error) bool) {
		for len(buf) > 0 {
			b, rest, err := Next(buf)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
			buf = rest
		}
	}
}
