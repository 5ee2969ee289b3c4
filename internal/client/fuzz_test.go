package client

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/memtest"
	"github.com/millrace-io/millrace/internal/record"
)

// What reading an answer may allocate, beside maxPlain for each of its bytes: the decompressor's windows and what a packed batch may honestly unpack to at once.
const (
	answerBase = 128 << 20
	answerEach = 1 << 10
)

// FuzzFetchAnswer gives a cursor what a hostile broker may answer. Nothing panics, no offset goes back, memory is bounded, and after an error nothing more comes.
func FuzzFetchAnswer(f *testing.F) {
	plain := func(codec record.Codec, attrs record.Attributes) []byte {
		var b record.Builder
		for i := range 5 {
			b.AppendRecord(int64(i), []byte("key"), []byte("value"), nil)
		}
		return bytes.Clone(b.Finish(record.Producer{ID: 7}, attrs, codec))
	}
	for codec := record.None; codec.Valid(); codec++ {
		f.Add(plain(codec, record.Transactional), int64(0), int64(7), int64(0), int16(0))
	}
	f.Add(bytes.Clone(new(record.Builder).FinishMarker(1, 7, 0, record.Marker{Type: record.AbortMarker})), int64(3), int64(7), int64(1), int16(0))
	f.Add(plain(record.None, 0)[:30], int64(-5), int64(-1), int64(-9), int16(0))
	f.Add([]byte(nil), int64(9), int64(0), int64(0), int16(1))
	f.Fuzz(func(t *testing.T, batches []byte, end, producer, first int64, code int16) {
		for rest := batches; ; { // so that the fuzzer reaches what the checksum guards
			b, tail, err := record.Next(rest)
			if err != nil {
				break
			}
			b.UpdateCRC()
			rest = tail
		}
		limit := int64(answerBase + answerEach*len(batches))
		if took, ok := memtest.Within(limit, func() { readAnswer(t, bytes.Clone(batches), end, producer, first, code) }); !ok {
			t.Errorf("an answer of %d bytes made the client allocate %d, allowed are %d", len(batches), took, limit)
		}
	})
}

func readAnswer(t *testing.T, batches []byte, end, producer, first int64, code int16) {
	f := NewFetcher(nil, nil, FetchConfig{ReadCommitted: true})
	f.asking = true // there is nobody to ask for leaders
	c := &Cursor{f: f, tp: TopicPartition{Topic: "t"}, epoch: -1, leader: 1, lastStable: -1, highWatermark: -1}
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.ErrorCode, rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = code, end, end, batches
	aborted := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
	aborted.ProducerID, aborted.FirstOffset = producer, first
	rp.AbortedTransactions = append(rp.AbortedTransactions, aborted)
	f.mu.Lock()
	f.accept(c, time.Time{}, &rp)
	f.mu.Unlock()
	var r record.Record
	for read := 0; ; read++ {
		at := c.Position()
		more, err := c.Next(&r)
		if c.Position() < at {
			t.Fatalf("the position went from %d to %d", at, c.Position())
		}
		if err != nil {
			if more, again := c.Next(&r); more || again == nil {
				t.Fatalf("after %v came %t, %v", err, more, again)
			}
			return
		}
		if !more {
			return
		}
		if int64(r.Offset) < at {
			t.Fatalf("offset %d came at position %d", r.Offset, at)
		}
	}
}
