package replica

import (
	"math"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/internal/record"
)

// FlushMode says when an append counts as persisted.
type FlushMode string

// The flush modes.
const (
	FlushAlways   FlushMode = "always"   // when it was synced to disk
	FlushInterval FlushMode = "interval" // when it was written; a sync follows within the interval
	FlushOS       FlushMode = "os"       // when it was written
)

// logConfig says to a log what its topic's configuration says.
func logConfig(t *settings.Topic, b *settings.Broker) commitlog.Config {
	c := commitlog.Config{
		SegmentBytes:       int64(t.SegmentBytes),
		SegmentAge:         t.SegmentAge,
		SegmentJitter:      t.SegmentJitter,
		IndexInterval:      t.IndexIntervalBytes,
		IndexBytes:         t.SegmentIndexBytes,
		Preallocate:        t.Preallocate,
		Delete:             t.CleanupDelete,
		Compact:            t.CleanupCompact,
		RetentionBytes:     t.RetentionBytes,
		DeleteDelay:        t.FileDeleteDelay,
		Retention:          t.Retention,
		MaxBatchBytes:      max(t.MaxMessageBytes, 1), // 0 would be the log's default; no batch is that small
		LogAppendTime:      t.LogAppendTime,
		TimestampBefore:    orUnbounded(t.TimestampBeforeMax),
		TimestampAfter:     orUnbounded(t.TimestampAfterMax),
		DeleteRetention:    orNone(t.DeleteRetention),
		MinCompactionLag:   t.MinCompactionLag,
		MaxCompactionLag:   orUnbounded(t.MaxCompactionLag),
		MinDirtyRatio:      t.MinCleanableDirtyRatio,
		CleanerMemory:      int(min(b.Int("log.cleaner.dedupe.buffer.size"), maxCleanerMemory)),
		ProducerExpiry:     b.Duration("producer.id.expiration.ms"),
		VerifyTransactions: b.Bool("transaction.partition.verification.enable"),
	}
	if t.MinCleanableDirtyRatio == 0 {
		c.MinDirtyRatio = -1
	}
	if t.Retention == 0 {
		c.Retention = time.Millisecond // the log's zero means no limit, the topic's means at once
	}
	if t.RetentionBytes == 0 {
		c.RetentionBytes = 1
	}
	if t.CompressionType != "producer" {
		if codec, err := record.ParseCodec(t.CompressionType); err == nil {
			c.Recompress, c.Codec = true, codec
			c.CodecLevel = level(t, codec)
		}
	}
	return c
}

// maxCleanerMemory bounds the cleaner's map of keys whatever the setting says: Kafka's default of 128 MiB is taken up front there, here it grows.
const maxCleanerMemory = 128 << 20

func level(t *settings.Topic, c record.Codec) int {
	switch c {
	case record.Gzip:
		return max(t.GzipLevel, 0) // -1 is the codec's default
	case record.LZ4:
		return t.LZ4Level
	case record.Zstd:
		return t.ZstdLevel
	}
	return 0
}

// orUnbounded turns Kafka's "longest time there is" into the log's zero.
func orUnbounded(d time.Duration) time.Duration {
	if d == math.MaxInt64 {
		return 0
	}
	return max(d, 1)
}

// orNone turns a zero time into the log's "not at all".
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
