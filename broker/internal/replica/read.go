package replica

import (
	"context"
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
}

// ReadResult is what a Read found.
type ReadResult struct {
	Bytes   []byte // dst with whole batches appended
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
	got, err := p.log.Read(dst, from, commitlog.ReadOptions{MaxBytes: o.MaxBytes, UpTo: upTo, AtLeastOne: o.AtLeastOne})
	if err != nil {
		return res, p.judge(err)
	}
	res.Bytes = got.Bytes
	if o.Committed && got.Next > from {
		if res.Aborted, err = p.log.AbortedIn(nil, from, got.Next); err != nil {
			return res, p.judge(err)
		}
	}
	return res, nil
}

// CoordinatorLog is the partition as the coordinator of an internal topic uses it.
type CoordinatorLog struct{ *Partition }

// readAhead is the room that a coordinator's Read begins with.
const readAhead = 64 << 10

// Append writes complete batches and returns when they are committed.
func (l CoordinatorLog) Append(ctx context.Context, batches []byte) error {
	info, err := l.Partition.Append(batches, commitlog.AppendOptions{Origin: commitlog.Coordinator})
	if err != nil {
		return err
	}
	return l.Commit(ctx, info.LastOffset+1)
}

// Read returns complete batches from the one that holds offset from, one at least; none at the end. It reads up to the log end: a new leader takes over
// everything that its log holds.
func (l CoordinatorLog) Read(_ context.Context, from int64, maxBytes int) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	end := l.log.End()
	if record.Offset(from) >= end {
		return nil, nil
	}
	got, err := l.log.Read(make([]byte, 0, min(maxBytes, readAhead)), record.Offset(from),
		commitlog.ReadOptions{MaxBytes: maxBytes, UpTo: end, AtLeastOne: true})
	if err != nil {
		return nil, l.judge(err)
	}
	return got.Bytes, nil
}

// Bounds returns the log start and the log end (exclusive).
func (l CoordinatorLog) Bounds() (start, end int64) {
	if l.log == nil {
		return 0, 0
	}
	return int64(l.log.LogStart()), int64(l.log.End())
}
