package commitlog

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// prepared is an append that has passed every check which needs no look at the log.
type prepared struct {
	batches []byte  // the caller's buffer, or packed anew
	packer  *packer // not nil when batches lie in it
}

func (p *prepared) release() {
	if p.packer != nil {
		packers.Put(p.packer)
	}
}

// packer packs batches anew in another codec.
type packer struct {
	builder record.Builder
	out     []byte
}

var packers = sync.Pool{New: func() any { return new(packer) }}

// decompressors are few: together they bound the memory that hostile batches can take to their number times Config.MaxDecompressed.
var decompressors = newDecompressors(2 * runtime.GOMAXPROCS(0))

type pooledDecompressor struct {
	*record.Decompressor
	max int
}

func newDecompressors(n int) chan *pooledDecompressor {
	free := make(chan *pooledDecompressor, n)
	for range n {
		free <- new(pooledDecompressor)
	}
	return free
}

// withDecompressor calls f with a decompressor of the given cap, after a wait when all are in use.
func withDecompressor(max int, f func(*record.Decompressor) error) error {
	d := <-decompressors
	defer func() { decompressors <- d }()
	if d.Decompressor == nil || d.max != max {
		*d = pooledDecompressor{Decompressor: record.NewDecompressor(max), max: max}
	}
	return f(d.Decompressor)
}

// prepare checks the batches as far as their origin calls for. It runs without locks: checksums and records are read here.
func (l *Log) prepare(batches []byte, o AppendOptions) (prepared, error) {
	if err := l.usable(); err != nil {
		return prepared{}, err
	}
	if len(batches) == 0 {
		return prepared{}, fmt.Errorf("%w: append without a batch", record.ErrInvalid)
	}
	cfg := l.config()
	repack := false
	for rest := batches; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err != nil {
			return prepared{}, err
		}
		rest = r
		if o.Origin == Client {
			err = cfg.checkClientBatch(b, o.Now)
		} else {
			err = b.Check()
		}
		if err != nil {
			return prepared{}, err
		}
		if o.Origin == Replication {
			continue
		}
		repack = repack || (cfg.Recompress && b.Attributes().Codec() != cfg.Codec && !b.Attributes().IsControl())
	}
	p := prepared{batches: batches}
	if repack {
		if err := cfg.repack(&p); err != nil {
			p.release()
			return prepared{}, err
		}
	}
	if cfg.LogAppendTime && o.Origin != Replication {
		if err := stamp(p.batches, o.Now.UnixMilli()); err != nil {
			p.release()
			return prepared{}, err
		}
	}
	if o.Origin != Replication && int64(len(p.batches)) > cfg.SegmentBytes {
		p.release()
		return prepared{}, fmt.Errorf("%w: %d bytes, segments have %d", ErrAppendTooLarge, len(p.batches), cfg.SegmentBytes)
	}
	return p, nil
}

// stamp gives the batches the time of their append. The records keep their own, which nobody sees.
func stamp(batches []byte, ms int64) error {
	for rest := batches; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err != nil {
			return err
		}
		b.SetMaxTimestamp(ms, true)
		rest = r
	}
	return nil
}

// checkClientBatch holds a client's batch against the format and the topic's rules (B2-B7), in Kafka's order: what is wrong in two ways gets the same error.
func (c *Config) checkClientBatch(b record.Batch, now time.Time) error {
	if err := b.CheckClientOffset(); err != nil {
		return err
	}
	if len(b) > c.MaxBatchBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrBatchTooLarge, len(b), c.MaxBatchBytes)
	}
	if err := b.CheckSum(); err != nil {
		return err
	}
	if err := b.CheckClientHeader(); err != nil {
		return err
	}
	maxTimestamp, err := c.checkRecords(b, c.rules(now))
	if err != nil {
		return err
	}
	if !c.LogAppendTime {
		b.SetMaxTimestamp(maxTimestamp, false) // what the header claimed may have been wrong
	}
	return nil
}

// checkRecords walks the batch's records.
func (c *Config) checkRecords(b record.Batch, rules record.Rules) (maxTimestamp int64, err error) {
	if b.Attributes().Codec() == record.None {
		return b.CheckRecords(nil, rules)
	}
	err = withDecompressor(c.MaxDecompressed, func(d *record.Decompressor) error {
		maxTimestamp, err = b.CheckRecords(d, rules)
		return err
	})
	return maxTimestamp, err
}

// rules returns what the topic asks of records that arrive now.
func (c *Config) rules(now time.Time) record.Rules {
	r := record.Rules{KeyRequired: c.Compact, LogAppendTime: c.LogAppendTime, NotBefore: math.MinInt64, NotAfter: math.MaxInt64}
	if c.LogAppendTime {
		return r
	}
	if c.TimestampBefore > 0 {
		r.CheckTimestamps, r.NotBefore = true, now.Add(-c.TimestampBefore).UnixMilli()
	}
	if c.TimestampAfter > 0 {
		r.CheckTimestamps, r.NotAfter = true, now.Add(c.TimestampAfter).UnixMilli()
	}
	return r
}

// repack writes the batches of p in the topic's codec.
func (c *Config) repack(p *prepared) error {
	p.packer = packers.Get().(*packer)
	p.packer.out = p.packer.out[:0]
	if z := p.packer.builder.Compressor; z == nil || z.Level != c.CodecLevel {
		p.packer.builder.Compressor = &record.Compressor{Level: c.CodecLevel}
	}
	for rest := p.batches; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err != nil {
			return err
		}
		rest = r
		if b.Attributes().IsControl() || b.Attributes().Codec() == c.Codec {
			p.packer.out = append(p.packer.out, b...)
			continue
		}
		if err := withDecompressor(c.MaxDecompressed, func(d *record.Decompressor) error { return p.packer.add(b, d, c.Codec) }); err != nil {
			return err
		}
	}
	p.batches = p.packer.out
	return nil
}

// add packs b anew.
func (k *packer) add(b record.Batch, d *record.Decompressor, codec record.Codec) error {
	it, err := b.Records(d)
	if err != nil {
		return err
	}
	k.builder.Reset()
	k.builder.SetBaseTimestamp(b.BaseTimestamp())
	var r record.Record
	for it.Next(&r) {
		k.builder.CopyRecord(&r)
	}
	if err := it.Err(); err != nil {
		return errors.Join(record.ErrInvalid, err)
	}
	packed := k.builder.Finish(b.Producer(), b.Attributes(), codec)
	packed.SetMaxTimestamp(b.MaxTimestamp(), b.Attributes().IsLogAppendTime())
	packed.SetBaseOffset(b.BaseOffset())
	packed.SetLeaderEpoch(b.LeaderEpoch())
	k.out = append(k.out, packed...)
	return nil
}
