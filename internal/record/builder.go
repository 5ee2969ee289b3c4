package record

import (
	"encoding/binary"
	"slices"

	"github.com/millrace-io/millrace/internal/invariant"
)

// Builder writes records into one batch. Its zero value is ready for use; [Builder.Reset] makes it ready again and keeps its memory, so that a
// builder in use allocates nothing.
//
// A Builder belongs to one goroutine at a time.
type Builder struct {
	// Compressor packs the records when [Builder.Finish] is asked for a codec. Nil means one of default level, made when it is needed. Several
	// builders of one goroutine may share one.
	Compressor *Compressor

	buf      []byte // header and records, uncompressed
	packed   []byte // header and records, compressed
	count    int32
	last     int32 // offset delta of the last record
	baseTime int64
	maxTime  int64
	fixed    bool // baseTime was set by SetBaseTimestamp
}

// Reset drops what was appended and keeps the memory. Batches from [Builder.Finish] are no longer valid.
func (b *Builder) Reset() {
	b.buf = b.buf[:0]
	b.count, b.last, b.baseTime, b.maxTime, b.fixed = 0, -1, 0, 0, false
}

// Len returns the size that the batch has now, uncompressed.
func (b *Builder) Len() int { return max(len(b.buf), HeaderSize) }

// Count returns how many records were appended.
func (b *Builder) Count() int { return int(b.count) }

// MaxTimestamp returns the largest timestamp appended, or [NoTimestamp].
func (b *Builder) MaxTimestamp() int64 {
	if b.count == 0 {
		return NoTimestamp
	}
	return b.maxTime
}

// SetBaseTimestamp fixes what the batch's timestamps are counted from (a delete horizon, say). Without it that is the first record's.
func (b *Builder) SetBaseTimestamp(ms int64) {
	invariant.Always(b.count == 0, "record: base timestamp set after %d records", b.count)
	b.baseTime, b.fixed = ms, true
}

// AppendRecord adds a record at the next offset. The builder copies what it is given. A nil key or value is null.
func (b *Builder) AppendRecord(ts int64, key, value []byte, headers []Header) {
	b.start()
	delta := b.last + 1
	b.stamp(ts)
	tsDelta := ts - b.baseTime
	hsize := 1
	if len(headers) > 0 {
		hsize = headersLen(headers)
	}
	size := 1 + varintLen(tsDelta) + varintLen(int64(delta)) + bytesLen(key) + bytesLen(value) + hsize
	buf, i := b.extend(varintLen(int64(size)) + size)
	i = putVarint(buf, i, int64(size))
	i = putRecordHead(buf, i, tsDelta, delta, key, value)
	if len(headers) == 0 {
		buf[i] = 0
	} else {
		putHeaders(buf, i, headers)
	}
	b.count++
	b.last = delta
}

// CopyRecord adds r at the offset delta that it has, which must lie above all earlier ones. Compaction writes what it keeps this way.
func (b *Builder) CopyRecord(r *Record) {
	b.start()
	invariant.Always(r.OffsetDelta > b.last, "record: offset delta %d after %d", r.OffsetDelta, b.last)
	b.stamp(r.Timestamp)
	tsDelta := r.Timestamp - b.baseTime
	hsize := varintLen(int64(r.HeaderCount)) + len(r.rawHeaders)
	size := 1 + varintLen(tsDelta) + varintLen(int64(r.OffsetDelta)) + bytesLen(r.Key) + bytesLen(r.Value) + hsize
	buf, i := b.extend(varintLen(int64(size)) + size)
	i = putVarint(buf, i, int64(size))
	i = putRecordHead(buf, i, tsDelta, r.OffsetDelta, r.Key, r.Value)
	i = putVarint(buf, i, int64(r.HeaderCount))
	copy(buf[i:], r.rawHeaders)
	b.count++
	b.last = r.OffsetDelta
}

// start makes room for the header, which is written last.
func (b *Builder) start() {
	if len(b.buf) == 0 {
		if cap(b.buf) < HeaderSize {
			b.buf = make([]byte, HeaderSize, 1024)
		}
		b.buf = b.buf[:HeaderSize]
		b.last = -1
	}
}

func (b *Builder) stamp(ts int64) {
	if b.count == 0 {
		if !b.fixed {
			b.baseTime = ts
		}
		b.maxTime = ts
	}
	b.maxTime = max(b.maxTime, ts)
}

// extend lengthens the buffer by n bytes and returns it with the index of the first of them.
func (b *Builder) extend(n int) ([]byte, int) {
	i := len(b.buf)
	if cap(b.buf)-i < n {
		b.buf = slices.Grow(b.buf, n)
	}
	b.buf = b.buf[:i+n]
	return b.buf, i
}

// Finish completes the batch: base offset 0, offsets counted from it, the checksum right. The codec in attrs is replaced by codec.
//
// The batch lies in the builder and is valid until the next Append or [Builder.Reset]; its holder may patch it. Finish may be called again.
func (b *Builder) Finish(p Producer, attrs Attributes, codec Codec) Batch {
	b.start()
	out := b.buf
	if codec != None && b.count > 0 {
		if b.Compressor == nil {
			b.Compressor = new(Compressor)
		}
		b.packed = append(b.packed[:0], b.buf[:HeaderSize]...)
		b.packed = b.Compressor.Compress(b.packed, codec, b.buf[HeaderSize:])
		out = b.packed
	}
	writeHeader(out, header{
		attrs:     attrs.WithCodec(codec),
		lastDelta: max(b.last, 0),
		baseTime:  b.baseTime,
		maxTime:   b.maxTime,
		producer:  p,
		count:     b.count,
	})
	return out
}

// header is what [writeHeader] puts before the records.
type header struct {
	base      Offset
	epoch     LeaderEpoch
	attrs     Attributes
	lastDelta int32
	baseTime  int64
	maxTime   int64
	producer  Producer
	count     int32
}

// writeHeader fills the header of the batch that out is, length and checksum included.
func writeHeader(out []byte, h header) {
	be := binary.BigEndian
	be.PutUint64(out[posBaseOffset:], uint64(h.base))
	be.PutUint32(out[posLength:], uint32(len(out)-LogOverhead))
	be.PutUint32(out[posLeaderEpoch:], uint32(h.epoch))
	out[posMagic] = currentMagic
	be.PutUint16(out[posAttributes:], uint16(h.attrs))
	be.PutUint32(out[posLastOffsetDelta:], uint32(h.lastDelta))
	be.PutUint64(out[posBaseTimestamp:], uint64(h.baseTime))
	be.PutUint64(out[posMaxTimestamp:], uint64(h.maxTime))
	be.PutUint64(out[posProducerID:], uint64(h.producer.ID))
	be.PutUint16(out[posProducerEpoch:], uint16(h.producer.Epoch))
	be.PutUint32(out[posBaseSequence:], uint32(h.producer.BaseSequence))
	be.PutUint32(out[posCount:], uint32(h.count))
	Batch(out).UpdateCRC()
}

// MaxRecordSize returns the most bytes that a record of these parts can take in a batch.
func MaxRecordSize(key, value []byte, headers []Header) int {
	const fixed = 5 + 1 + 10 + 5 // length, attributes, timestamp delta, offset delta
	return fixed + bytesLen(key) + bytesLen(value) + headersLen(headers)
}

func bytesLen(p []byte) int {
	if p == nil {
		return 1
	}
	return varintLen(int64(len(p))) + len(p)
}

func headersLen(headers []Header) int {
	n := varintLen(int64(len(headers)))
	for i := range headers {
		h := &headers[i]
		n += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	return n
}

// putRecordHead writes what comes between a record's length and its headers.
func putRecordHead(buf []byte, i int, tsDelta int64, delta int32, key, value []byte) int {
	buf[i] = 0
	i = putVarint(buf, i+1, tsDelta)
	i = putVarint(buf, i, int64(delta))
	i = putBytes(buf, i, key)
	return putBytes(buf, i, value)
}

func putBytes(buf []byte, i int, p []byte) int {
	if p == nil {
		return putVarint(buf, i, -1)
	}
	i = putVarint(buf, i, int64(len(p)))
	return i + copy(buf[i:], p)
}

func putHeaders(buf []byte, i int, headers []Header) {
	i = putVarint(buf, i, int64(len(headers)))
	for _, h := range headers {
		i = putVarint(buf, i, int64(len(h.Key)))
		i += copy(buf[i:], h.Key)
		i = putBytes(buf, i, h.Value)
	}
}

// FinishAs completes a batch that takes the place of src in a log: its offsets (the last one stays, whatever was left out), leader epoch,
// producer and codec. The attributes may differ in [HasDeleteHorizon]. A batch without records keeps src's timestamps.
func (b *Builder) FinishAs(src Batch, attrs Attributes) Batch {
	codec := src.Attributes().Codec()
	if b.count == 0 {
		b.start()
		b.maxTime = src.MaxTimestamp()
		if !b.fixed {
			b.baseTime = src.BaseTimestamp()
		}
	}
	if attrs.IsLogAppendTime() {
		b.maxTime = src.MaxTimestamp()
	}
	b.last = src.LastOffsetDelta()
	out := b.Finish(src.Producer(), attrs, codec)
	out.SetBaseOffset(src.BaseOffset())
	out.SetLeaderEpoch(src.LeaderEpoch())
	return out
}
