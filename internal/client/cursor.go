package client

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// Cursor is a partition's place in a Fetcher: records on one side, the fetching on the other.
type Cursor struct {
	f  *Fetcher
	tp TopicPartition

	// Owned by the consumer.
	position int64          // everything before it was handed out or needs no handing out
	rest     []byte         // batches not yet begun
	size     int            // of the chunk that rest is the end of
	walk     record.Records // over the batch in hand
	inBatch  bool
	batchEnd int64 // the offset after the batch in hand
	epoch    int32
	aborted  []abortedTxn // of the chunk in hand, not yet reached
	dead     []int64      // producers whose records are aborted here
	unpack   *record.Decompressor

	// Guarded by Fetcher.mu.
	id            TopicID
	leader        int32
	next          int64 // the offset to fetch next
	chunks        []chunk
	buffered      int // bytes in chunks and in the consumer's hands
	lastStable    int64
	highWatermark int64
	asked         time.Time // when the broker was asked for what it told
	attempts      int
	retryAt       time.Time
	err           error // final
	removed       bool
}

// chunk is one answer's whole batches with the transactions aborted among them.
type chunk struct {
	batches []byte
	aborted []abortedTxn
}

// abortedTxn is a transaction of a producer that begins at first and was aborted.
type abortedTxn struct {
	producer int64
	first    int64
}

func abortedOf(rp *kmsg.FetchResponseTopicPartition) []abortedTxn {
	if len(rp.AbortedTransactions) == 0 {
		return nil
	}
	a := make([]abortedTxn, len(rp.AbortedTransactions))
	for i, t := range rp.AbortedTransactions {
		a[i] = abortedTxn{t.ProducerID, t.FirstOffset}
	}
	slices.SortFunc(a, func(x, y abortedTxn) int { return cmp.Compare(x.first, y.first) })
	return a
}

// maxUnpacked bounds one batch after decompression: Kafka takes no larger uncompressed batch by default than a request of 100 MiB.
const maxUnpacked = record.DefaultMaxDecompressed

// TopicPartition returns which partition the cursor reads.
func (c *Cursor) TopicPartition() TopicPartition { return c.tp }

// Position returns the offset after everything that was handed out, and after markers and aborted records that follow it and were passed over.
func (c *Cursor) Position() int64 { return c.position }

// Epoch returns the leader epoch of the last batch begun, -1 before the first.
func (c *Cursor) Epoch() int32 { return c.epoch }

// End returns the partition's high watermark as the broker last told, and when it was asked; -1 before it told.
func (c *Cursor) End() (highWatermark int64, asked time.Time) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.highWatermark, c.asked
}

// Behind reports whether the broker is known, or may be assumed, to have records that have not arrived here. It is meant for a cursor that has nothing to hand out.
func (c *Cursor) Behind() bool {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return len(c.chunks) > 0 || c.highWatermark < 0 || c.next < c.lastStable
}

// Next decodes the next record into r, whose slices are valid until the next call. It returns false when nothing has arrived, or with the error that ended the fetching
// after all that arrived before it was handed out.
func (c *Cursor) Next(r *record.Record) (bool, error) {
	for {
		if c.inBatch {
			if c.walk.Next(r) {
				if int64(r.Offset) < c.position {
					continue // the batch began before the offset that was asked for
				}
				c.position = int64(r.Offset) + 1
				return true, nil
			}
			if err := c.walk.Err(); err != nil {
				return false, c.faulty(err)
			}
			c.inBatch = false
			c.position = max(c.position, c.batchEnd)
		}
		more, err := c.nextBatch()
		if err != nil || !more {
			return false, err
		}
	}
}

// nextBatch begins the next batch whose records count.
func (c *Cursor) nextBatch() (bool, error) {
	if len(c.rest) == 0 {
		if more, err := c.nextChunk(); !more {
			return false, err
		}
	}
	b, rest, err := record.Next(c.rest)
	if err != nil {
		return false, c.faulty(err)
	}
	c.rest = rest
	c.epoch = int32(b.LeaderEpoch())
	c.batchEnd = int64(b.NextOffset())
	if skip, err := c.skip(b); skip || err != nil {
		c.position = max(c.position, c.batchEnd)
		return err == nil, err
	}
	if c.unpack == nil && b.Attributes().Codec() != record.None {
		c.unpack = record.NewDecompressor(maxUnpacked)
	}
	if c.walk, err = b.Records(c.unpack); err != nil {
		return false, c.faulty(err)
	}
	c.inBatch = true
	return true, nil
}

// skip reports whether a batch holds no data: a marker, or records of an aborted transaction.
func (c *Cursor) skip(b record.Batch) (bool, error) {
	for len(c.aborted) > 0 && c.aborted[0].first <= int64(b.LastOffset()) {
		c.dead = append(c.dead, c.aborted[0].producer)
		c.aborted = c.aborted[1:]
	}
	attrs := b.Attributes()
	if attrs.IsControl() {
		if m, ok, err := b.Marker(); err != nil {
			return true, c.faulty(err)
		} else if ok && m.Type == record.AbortMarker {
			if i := slices.Index(c.dead, int64(b.ProducerID())); i >= 0 {
				c.dead = slices.Delete(c.dead, i, i+1)
			}
		}
		return true, nil
	}
	return attrs.IsTransactional() && slices.Contains(c.dead, int64(b.ProducerID())), nil
}

// nextChunk takes over what has arrived, and lets the fetcher know that there is room.
func (c *Cursor) nextChunk() (bool, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.size > 0 {
		full := c.buffered >= c.f.cfg.PartitionBytes
		c.buffered -= c.size
		c.size = 0
		if full && c.buffered < c.f.cfg.PartitionBytes {
			c.f.cond.Broadcast()
		}
	}
	if len(c.chunks) == 0 {
		return false, c.err
	}
	ch := c.chunks[0]
	c.chunks = slices.Delete(c.chunks, 0, 1)
	c.rest, c.size, c.aborted, c.dead = ch.batches, len(ch.batches), ch.aborted, c.dead[:0]
	return true, nil
}

// faulty ends the cursor: what comes after damaged bytes is not to be trusted.
func (c *Cursor) faulty(err error) error {
	err = fmt.Errorf("client: topic %s, partition %d, from offset %d: %w", c.tp.Topic, c.tp.Partition, c.position, err)
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.err, c.chunks = err, nil
	c.rest, c.inBatch = nil, false
	return err
}
