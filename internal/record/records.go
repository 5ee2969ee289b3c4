package record

import (
	"fmt"
)

// Record is one record of a batch. Its slices are views into the batch (or into the [Decompressor] that unpacked it) and live as long.
type Record struct {
	Offset      Offset
	OffsetDelta int32
	Timestamp   int64  // milliseconds since 1970
	Key         []byte // nil is null
	Value       []byte // nil is null: a tombstone on a compacted topic
	HeaderCount int

	rawHeaders []byte // the headers as they lie, without their count
}

// Headers yields the record's headers in order; its form lets it stand after range. [Records.Next] has validated their bytes.
func (r *Record) Headers(yield func(Header) bool) {
	buf, i := r.rawHeaders, 0
	for range r.HeaderCount {
		var k, v []byte
		if k, i = lengthPrefixed(buf, i); i < 0 {
			return
		}
		if v, i = lengthPrefixed(buf, i); i < 0 {
			return
		}
		if !yield(Header{Key: string(k), Value: v}) {
			return
		}
	}
}

// Records walks the records of one batch:
//
//	it, err := b.Records(d)
//	for it.Next(&r) { … }
//	err = it.Err()
//
// It allocates nothing. It checks every length, that offsets ascend inside the batch, that the count is right and that no byte is left over.
type Records struct {
	buf        []byte
	pos        int
	left       int
	base       Offset
	baseTime   int64
	appendTime int64 // the timestamp of all records, if logTime
	logTime    bool
	lastDelta  int32
	prevDelta  int32
	err        error
}

// Records starts a walk over b's records. If they are compressed, d unpacks them, and the records live until d is used again; with a nil d a
// fresh one with [DefaultMaxDecompressed] is made. The batch must have passed [Batch.CheckHeader].
func (b Batch) Records(d *Decompressor) (Records, error) {
	raw := b.RawRecords()
	attrs := b.Attributes()
	if codec := attrs.Codec(); codec != None && b.Count() > 0 {
		if d == nil {
			d = NewDecompressor(DefaultMaxDecompressed)
		}
		var err error
		if raw, err = d.Decompress(codec, raw); err != nil {
			return Records{}, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
		}
	} else if codec != None {
		raw = nil // an emptied batch keeps its codec and has no payload
	}
	return Records{
		buf:        raw,
		left:       b.Count(),
		base:       b.BaseOffset(),
		baseTime:   b.BaseTimestamp(),
		appendTime: b.MaxTimestamp(),
		logTime:    attrs.IsLogAppendTime(),
		lastDelta:  b.LastOffsetDelta(),
		prevDelta:  -1,
	}, nil
}

// Err returns why [Records.Next] returned false before the batch's end, or nil.
func (it *Records) Err() error { return it.err }

// Next reads the next record into r. It returns false after the last one and on the first fault.
func (it *Records) Next(r *Record) bool {
	if it.left == 0 {
		if it.pos != len(it.buf) && it.err == nil {
			it.fail("bytes after the last record")
		}
		return false
	}
	size, i := varint32(it.buf, it.pos)
	if i < 0 || size < 0 || int(size) > len(it.buf)-i {
		return it.fail("record length out of bounds")
	}
	end := i + int(size)
	if msg := it.decode(r, it.buf[:end:end], i); msg != "" {
		return it.fail(msg)
	}
	it.pos = end
	it.left--
	return true
}

// skip goes past the next record if that is of the usual shape: number n of a batch without gaps, its lengths, time and number below 2^13 and no headers. It tells
// the record's time and whether there is a key. When ok is false nothing has changed: Next reads the record, or says what is wrong with it.
//
// It exists for the log's check of what producers send, which looks at every record of the broker and needs neither keys nor values: it takes a third of
// the time that Next does.
func (it *Records) skip(n int32) (timestamp int64, keyed, ok bool) {
	const none = 1 // the length -1
	buf := it.buf[it.pos:]
	if len(buf) < 16 || it.left == 0 || n >= 1<<13 || n > it.lastDelta || n <= it.prevDelta || it.logTime {
		return 0, false, false
	}
	size, i := shortVarint(buf, 0)
	end := i + int(size>>1)
	if size >= 1<<14 || size&1 != 0 || end > len(buf) || end < i+6 {
		return 0, false, false
	}
	buf = buf[:end]
	time, i := shortVarint(buf, i+1) // after the attributes, which have no meaning yet
	if time >= 1<<14 || i+4 > end {
		return 0, false, false
	}
	delta, i := shortVarint(buf, i)
	if delta != uint32(n)<<1 || i+3 > end {
		return 0, false, false
	}
	key, i := shortVarint(buf, i)
	if key != none {
		if i += int(key >> 1); key >= 1<<14 || key&1 != 0 || i+2 > end {
			return 0, false, false
		}
	}
	if i+2 > end {
		return 0, false, false
	}
	value, i := shortVarint(buf, i)
	if value != none {
		if i += int(value >> 1); value >= 1<<14 || value&1 != 0 {
			return 0, false, false
		}
	}
	if i != end-1 || buf[i] != 0 {
		return 0, false, false
	}
	it.prevDelta = n
	it.pos += end
	it.left--
	return it.baseTime + int64(int32(time>>1)^-int32(time&1)), key != none, true
}

// decode reads the record whose body is buf[i:]. It returns what is wrong, or "".
func (it *Records) decode(r *Record, buf []byte, i int) string {
	if i >= len(buf) {
		return "record without attributes"
	}
	i++ // no attribute of a record has a meaning yet
	timeDelta, i := varint64(buf, i)
	if i < 0 {
		return "timestamp delta out of bounds"
	}
	delta, i := varint32(buf, i)
	if i < 0 || delta <= it.prevDelta || delta > it.lastDelta {
		return "offset delta out of order"
	}
	it.prevDelta = delta
	r.OffsetDelta = delta
	r.Offset = it.base + Offset(delta)
	r.Timestamp = it.baseTime + timeDelta
	if it.logTime {
		r.Timestamp = it.appendTime
	}
	if r.Key, i = lengthPrefixed(buf, i); i < 0 {
		return "key out of bounds"
	}
	if r.Value, i = lengthPrefixed(buf, i); i < 0 {
		return "value out of bounds"
	}
	if i == len(buf)-1 && buf[i] == 0 { // no headers: nearly every record
		r.HeaderCount, r.rawHeaders = 0, nil
		return ""
	}
	return r.scanHeaders(buf, i)
}

// scanHeaders checks the headers at buf[i:], which must end where buf ends.
func (r *Record) scanHeaders(buf []byte, i int) string {
	count, i := varint32(buf, i)
	// A header takes two bytes at least, so that a count past that is a lie and not worth a loop.
	if i < 0 || count < 0 || int(count) > (len(buf)-i)/2 {
		return "header count out of bounds"
	}
	r.HeaderCount, r.rawHeaders = int(count), buf[i:]
	for range count {
		size, j := varint32(buf, i)
		if j < 0 || size < 0 || int(size) > len(buf)-j {
			return "header key out of bounds"
		}
		if _, i = lengthPrefixed(buf, j+int(size)); i < 0 {
			return "header value out of bounds"
		}
	}
	if i != len(buf) {
		return "bytes after the last header"
	}
	return ""
}

func (it *Records) fail(msg string) bool {
	it.err = fmt.Errorf("%w at offset %d: after record %d: %s", ErrCorrupt, it.base, it.prevDelta, msg)
	it.left = 0
	it.pos = len(it.buf)
	return false
}

// lengthPrefixed reads a varint length and as many bytes at buf[i:]; a length of -1 is nil. It returns the index after them, or -1.
func lengthPrefixed(buf []byte, i int) ([]byte, int) {
	n, i := varint32(buf, i)
	if i < 0 || n < -1 || int(n) > len(buf)-i {
		return nil, -1
	}
	if n == -1 {
		return nil, i
	}
	end := i + int(n)
	return buf[i:end:end], end
}
