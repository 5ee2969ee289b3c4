package replica

import (
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/partition"
	"github.com/millrace-io/millrace/internal/record"
)

// ReadOptions bound a Read.
type ReadOptions struct {
	MaxBytes   int
	AtLeastOne bool // the first batch comes even when it is larger than MaxBytes
	Committed  bool // stop at the last stable offset and name the aborted transactions
	Sections   bool // large ranges may come as a Section
}

// ReadResult is what a Read found.
type ReadResult struct {
	Bytes   []byte             // dst with whole batches appended
	Section *commitlog.Section // the batches in place of Bytes, or nil; the caller releases it
	Offsets partition.Offsets
	Aborted []commitlog.AbortedTxn // in order of first offset; only with Committed
}

// Read appends batches to dst, from the one that holds offset from up to the high watermark or the last stable offset. An offset below the log start or
// above the high watermark is commitlog.ErrOffsetOutOfRange, and Offsets tells the bounds.
func (p *Partition) Read(dst []byte, from record.Offset, o ReadOptions) (ReadResult, error) {
	if err := p.check(); err != nil {
		return ReadResult{}, err
	}
	p.mu.Lock()
	res := ReadResult{Bytes: dst, Offsets: p.offsets()}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return res, ErrClosed
	}
	if from < res.Offsets.LogStart || from > res.Offsets.HighWatermark {
		return res, fmt.Errorf("%w: %s-%d holds %d to %d, asked for was %d", commitlog.ErrOffsetOutOfRange,
			p.Topic, p.Number, res.Offsets.LogStart, res.Offsets.HighWatermark, from)
	}
	upTo := res.Offsets.HighWatermark
	if o.Committed {
		upTo = res.Offsets.LastStable
	}
	if from >= upTo || o.MaxBytes <= 0 && !o.AtLeastOne {
		return res, nil
	}
	next, err := p.read(&res, dst, from, upTo, o)
	if err == nil && o.Committed && next > from {
		res.Aborted, err = p.log.AbortedUpTo(nil, from, next)
	}
	if err != nil {
		if res.Section != nil {
			res.Section.Release()
			res.Section = nil
		}
		return res, p.judge(err)
	}
	return res, nil
}

// read finds the batches and returns the offset after them.
func (p *Partition) read(res *ReadResult, dst []byte, from, upTo record.Offset, o ReadOptions) (next record.Offset, err error) {
	bounds := commitlog.ReadOptions{MaxBytes: o.MaxBytes, UpTo: upTo, AtLeastOne: o.AtLeastOne}
	if o.Sections {
		if s, ok := p.log.Section(from, bounds); ok {
			res.Section = &s
			return s.Next, nil
		}
	}
	got, err := p.log.Read(dst, from, bounds)
	if err == nil {
		res.Bytes = got.Bytes
	}
	return got.Next, err
}
