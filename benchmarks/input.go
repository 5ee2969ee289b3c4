package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	wordsPerLine  = 8
	distinctWords = 100_000
)

// draws is the xorshift64 generator: the same seed gives the same input on every machine.
type draws uint64

func newDraws(seed uint64) *draws {
	d := draws(seed * 0x9E3779B97F4A7C15)
	return &d
}

func (d *draws) next() uint64 {
	x := uint64(*d)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*d = draws(x)
	return x
}

// appendPadded appends n in decimal, with zeros before it up to width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// appendLine appends a line of words, each a w and ten digits.
func appendLine(dst []byte, d *draws) []byte {
	for i := range wordsPerLine {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, 'w')
		dst = appendPadded(dst, d.next()%distinctWords, 10)
	}
	return dst
}

// loadLines fills a topic with lines, keyed by their number.
func loadLines(ctx context.Context, c *cluster, topic string, lines int64) (bytes int64, err error) {
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	var failed firstError
	d := newDraws(1)
	for i := range lines {
		r := &kgo.Record{Key: appendPadded(nil, uint64(i), 16), Value: appendLine(make([]byte, 0, 95), d)}
		bytes += int64(len(r.Value))
		cl.Produce(ctx, r, failed.promise)
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, err
	}
	if err := failed.get(); err != nil {
		return 0, fmt.Errorf("load topic %s: %w", topic, err)
	}
	return bytes, nil
}
