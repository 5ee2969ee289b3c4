package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// inputSpec describes records of 16-byte keys and 100-byte values whose bytes follow from the description alone, so that other programs can make the same.
type inputSpec struct {
	records, keys int64
	sequential    bool   // record i has key i mod keys, instead of one drawn
	late          uint64 // per cent of the records that are up to 5 s late
	perSecond     int64  // records per second of event time; 0: all have the first time
	from          int64  // the first time, ms since 1970
}

const (
	inputFrom      = 1_700_000_000_000
	inputPerSecond = 10_000
	keyBytes       = 16
	maxLateMs      = 5000
)

// drawnInput is n records of keys drawn at random.
func drawnInput(n, keys int64) inputSpec {
	return inputSpec{records: n, keys: keys, perSecond: inputPerSecond, from: inputFrom}
}

// tableInput is every key once, a second before the first record of a drawn input.
func tableInput(keys int64) inputSpec {
	return inputSpec{records: keys, keys: keys, sequential: true, from: inputFrom - 1000}
}

// inputRecord is a record of an input; its slices are valid until the next.
type inputRecord struct {
	key, value []byte
	timestamp  int64
}

// each makes the records in order.
func (s inputSpec) each(yield func(int64, *inputRecord) bool) {
	d := newDraws(1)
	r := &inputRecord{}
	for i := range s.records {
		k := uint64(i % s.keys)
		if !s.sequential {
			k = d.next() % uint64(s.keys)
		}
		r.key = appendPadded(r.key[:0], k, keyBytes)
		r.value = appendFill(appendPadded(r.value[:0], uint64(i), keyBytes), d)
		r.timestamp = s.from
		if s.perSecond > 0 {
			r.timestamp += i * 1000 / s.perSecond
		}
		if s.late > 0 {
			if draw := d.next(); draw%100 < s.late {
				r.timestamp -= 1 + int64(draw/100%maxLateMs)
			}
		}
		if !yield(i, r) {
			return
		}
	}
}

// appendFill makes a value as long as all are: each draw gives ten chunks of eight letters, out of 64 that there are.
func appendFill(value []byte, d *draws) []byte {
	for len(value) < valueBytes {
		draw := d.next()
		for t := range 10 {
			c := int(draw >> (6 * t) & 63)
			for j := range min(8, valueBytes-len(value)) {
				value = append(value, 'a'+byte((c*(2*j+1)+j*j+5*(c>>3))%26))
			}
		}
	}
	return value
}

// checksum is the CRC-32C over all keys and values in order: who makes the same input gets the same.
func (s inputSpec) checksum() (sum uint32) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, r := range s.each {
		sum = crc32.Update(crc32.Update(sum, table, r.key), table, r.value)
	}
	return sum
}

// load makes a topic and fills it, by key in Kafka's default partitions.
func (s inputSpec) load(ctx context.Context, c *cluster, topic string) error {
	if err := c.create(ctx, topic, countPartitions, "retention.ms", "-1"); err != nil {
		return err
	}
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed firstError
	for _, r := range s.each {
		both := append(append(make([]byte, 0, keyBytes+valueBytes), r.key...), r.value...)
		cl.Produce(ctx, &kgo.Record{Key: both[:keyBytes:keyBytes], Value: both[keyBytes:], Timestamp: time.UnixMilli(r.timestamp)}, failed.promise)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.get(); err != nil {
		return fmt.Errorf("load topic %s: %w", topic, err)
	}
	return nil
}
