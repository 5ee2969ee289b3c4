package coordinator

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batches encodes what a flight writes into record batches, one after another in one buffer: a batch ends where the
// producer changes, where it is full, and at a marker.
type batches struct {
	buf      []byte
	open     bool // a batch is open, and starts at start
	start    int
	producer entry.Producer
	at       int64 // timestamp of the open batch's records
	count    int32
}

func (b *batches) empty() bool { return len(b.buf) == 0 }

func (b *batches) add(p entry.Producer, now time.Time, maxBytes int, r *entry.Record) {
	at := now.UnixMilli()
	size := recordOverhead + len(r.Key) + len(r.Value)
	if b.open && (p != b.producer || at != b.at || len(b.buf)-b.start+size > maxBytes) {
		b.end()
	}
	if !b.open {
		b.begin(p, at)
	}
	b.buf = appendRecord(b.buf, b.count, r)
	b.count++
}

func (b *batches) marker(m entry.Marker, now time.Time) {
	b.end()
	b.begin(m.Producer, now.UnixMilli())
	var kind int16
	if m.Commit {
		kind = 1
	}
	key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), uint16(kind))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(m.CoordinatorEpoch))
	b.buf = appendRecord(b.buf, 0, &entry.Record{Key: key, Value: value})
	b.count = 1
	b.finish(attrTransactional | attrControl)
}

// close ends the open batch and returns all of them.
func (b *batches) close() []byte {
	b.end()
	return b.buf
}

const (
	headerBytes       = 61
	recordOverhead    = 5 + 1 + 1 + 5 + 5 + 5 + 1
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b *batches) begin(p entry.Producer, at int64) {
	b.start, b.open, b.producer, b.at, b.count = len(b.buf), true, p, at, 0
	b.buf = append(b.buf, make([]byte, headerBytes)...)
}

func (b *batches) end() {
	if !b.open {
		return
	}
	if b.producer.None() {
		b.finish(0)
		return
	}
	b.finish(attrTransactional)
}

func (b *batches) finish(attributes uint16) {
	h := b.buf[b.start:]
	be := binary.BigEndian
	be.PutUint32(h[8:], uint32(len(h)-12))
	be.PutUint32(h[12:], 0xffffffff) // leader epoch, the log's
	h[16] = 2
	be.PutUint16(h[21:], attributes)
	be.PutUint32(h[23:], uint32(b.count-1))
	be.PutUint64(h[27:], uint64(b.at))
	be.PutUint64(h[35:], uint64(b.at))
	be.PutUint64(h[43:], uint64(b.producer.ID))
	be.PutUint16(h[51:], uint16(b.producer.Epoch))
	be.PutUint32(h[53:], 0xffffffff) // no sequence
	be.PutUint32(h[57:], uint32(b.count))
	be.PutUint32(h[17:], crc32.Checksum(h[21:], castagnoli))
	b.open = false
}

func appendRecord(dst []byte, delta int32, r *entry.Record) []byte {
	var scratch [binary.MaxVarintLen64]byte
	n := 2 + len(binary.AppendVarint(scratch[:0], int64(delta))) + sizeBytes(r.Key) + sizeBytes(r.Value) + 1
	dst = binary.AppendVarint(dst, int64(n)-0)
	dst = append(dst, 0, 0) // attributes, timestamp delta
	dst = binary.AppendVarint(dst, int64(delta))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	return append(dst, 0) // no headers
}

func sizeBytes(p []byte) int {
	if p == nil {
		return 1
	}
	var scratch [binary.MaxVarintLen64]byte
	return len(binary.AppendVarint(scratch[:0], int64(len(p)))) + len(p)
}

func appendBytes(dst, p []byte) []byte {
	if p == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(p))), p...)
}

// replayBatches feeds the batches in data, from offset next on, to m and returns the offset after them.
func replayBatches(data []byte, next int64, m Machine) (int64, error) {
	for len(data) > 0 {
		var b kmsg.RecordBatch
		if len(data) < headerBytes {
			return next, fmt.Errorf("batch after offset %d: %d bytes are no batch", next, len(data))
		}
		size := 12 + int(binary.BigEndian.Uint32(data[8:]))
		if size > len(data) {
			return next, fmt.Errorf("batch after offset %d: cut off", next)
		}
		if err := b.ReadFrom(data[:size]); err != nil {
			return next, fmt.Errorf("batch after offset %d: %w", next, err)
		}
		data = data[size:]
		p := entry.NoProducer()
		if b.Attributes&attrTransactional != 0 {
			p = entry.Producer{ID: b.ProducerID, Epoch: b.ProducerEpoch}
		}
		rs := b.Records
		for range b.NumRecords {
			l, n := binary.Varint(rs)
			var r kmsg.Record
			if n <= 0 || int(l)+n > len(rs) || r.ReadFrom(rs[:n+int(l)]) != nil {
				return next, fmt.Errorf("batch at offset %d: broken record", b.FirstOffset)
			}
			rs = rs[n+int(l):]
			if b.Attributes&attrControl != 0 {
				mk := entry.Marker{Producer: p, Commit: r.Key[3] == 1}
				m.ApplyMarker(mk)
				continue
			}
			m.Apply(entry.Record{Key: r.Key, Value: r.Value}, p)
		}
		next = b.FirstOffset + int64(b.LastOffsetDelta) + 1
	}
	return next, nil
}
