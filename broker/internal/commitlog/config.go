package commitlog

import (
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// Config is a topic's configuration as far as its logs know it. The zero value runs with the defaults that the fields name.
type Config struct {
	// SegmentBytes is the size at which a segment is closed and the next one begun (segment.bytes). Default 1 GiB, at most 2 GiB - 1.
	SegmentBytes int64
	// SegmentAge is the span of record time after which a segment is closed (segment.ms). Default 7 days.
	SegmentAge time.Duration
	// SegmentJitter is the most by which SegmentAge is shortened at random, so that not all segments roll at once (segment.jitter.ms).
	SegmentJitter time.Duration
	// IndexInterval is the number of bytes between two entries of the indexes (index.interval.bytes). Default 4096.
	IndexInterval int
	// IndexBytes bounds the size of an offset index (segment.index.bytes). A full index is thinned out. Default and most: 16 KiB.
	IndexBytes int
	// Preallocate reserves a new segment's room at once (preallocate).
	Preallocate bool

	// RetentionBytes is the size above which old segments are deleted (retention.bytes). Zero or less: no limit.
	RetentionBytes int64
	// Retention is the age, by record timestamp, above which segments are deleted (retention.ms). Zero or less: no limit.
	Retention time.Duration
	// DeleteDelay is how long the file of a deleted segment stays, under another name (file.delete.delay.ms). Zero: not at all.
	DeleteDelay time.Duration
	// Delete and Compact are the two words of cleanup.policy. With neither, only the log start offset deletes segments.
	Delete, Compact bool

	// MaxBatchBytes is the largest batch that a client may send (max.message.bytes). Default 1,048,588.
	MaxBatchBytes int
	// Recompress is set when compression.type is not "producer": batches of another codec are packed again with Codec at CodecLevel.
	Recompress bool
	Codec      record.Codec
	CodecLevel int // 0: the codec's default
	// LogAppendTime makes the log stamp the batches (message.timestamp.type).
	LogAppendTime bool
	// TimestampBefore and TimestampAfter bound how far a client's timestamp may lie from now (message.timestamp.{before,after}.max.ms).
	// Zero or less: no bound.
	TimestampBefore, TimestampAfter time.Duration
	// MaxDecompressed caps the size of one batch's records once decompressed. Default record.DefaultMaxDecompressed.
	MaxDecompressed int

	// DeleteRetention is how long tombstones and markers stay after the cleaner first met them (delete.retention.ms). Default 24 h;
	// less than zero: not at all.
	DeleteRetention time.Duration
	// MinCompactionLag keeps younger records out of the cleaner's reach (min.compaction.lag.ms).
	MinCompactionLag time.Duration
	// MaxCompactionLag makes a log due for cleaning that has older uncleaned records (max.compaction.lag.ms). Zero or less: no limit.
	MaxCompactionLag time.Duration
	// MinDirtyRatio is the part of the log that must be dirty before cleaning pays (min.cleanable.dirty.ratio). Default 0.5; less than zero: none.
	MinDirtyRatio float64
	// CleanerMemory bounds the offset map of one cleaning. Default 16 MiB, enough for 500,000 distinct keys a pass.
	CleanerMemory int

	// ProducerExpiry is how long an idle producer is remembered (producer.id.expiration.ms). Default 24 h.
	ProducerExpiry time.Duration
	// VerifyTransactions makes the log refuse the first batch of a transaction unless AppendOptions.Verified carries a guard from
	// [Log.BeginVerification] (transaction.partition.verification.enable).
	VerifyTransactions bool
}

// Defaults, and the limits inside which a value is taken.
const (
	DefaultSegmentBytes   = 1 << 30
	DefaultSegmentAge     = 7 * 24 * time.Hour
	DefaultIndexInterval  = 4096
	DefaultMaxBatchBytes  = 1<<20 + 12
	DefaultCleanerMemory  = 16 << 20
	DefaultProducerExpiry = 24 * time.Hour

	defaultDeleteRetention = 24 * time.Hour
	defaultMinDirtyRatio   = 0.5
	maxSegmentBytes        = math.MaxInt32
	minSegmentBytes        = record.HeaderSize
	minCleanerMemory       = 4 << 10
	// maxIndexEntries bounds each index of a segment in memory and on disk. At 1 GiB an entry covers half a megabyte, which a reader that jumps
	// must hop over once; readers in sequence are remembered and never do.
	maxIndexEntries = 2048
)

// withDefaults returns c with every zero replaced and every value inside its limits.
func (c Config) withDefaults() Config {
	setDefault(&c.SegmentBytes, DefaultSegmentBytes)
	c.SegmentBytes = min(max(c.SegmentBytes, minSegmentBytes), maxSegmentBytes)
	setDefault(&c.SegmentAge, DefaultSegmentAge)
	setDefault(&c.IndexInterval, DefaultIndexInterval)
	setDefault(&c.IndexBytes, maxIndexEntries*offsetEntrySize)
	setDefault(&c.MaxBatchBytes, DefaultMaxBatchBytes)
	setDefault(&c.MaxDecompressed, record.DefaultMaxDecompressed)
	setDefault(&c.DeleteRetention, defaultDeleteRetention)
	setDefault(&c.MinDirtyRatio, defaultMinDirtyRatio)
	setDefault(&c.CleanerMemory, DefaultCleanerMemory)
	c.CleanerMemory = max(c.CleanerMemory, minCleanerMemory)
	setDefault(&c.ProducerExpiry, DefaultProducerExpiry)
	return c
}

// setDefault replaces a zero value.
func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// indexEntries returns how many entries an index may have.
func (c *Config) indexEntries() int {
	return min(max(c.IndexBytes/offsetEntrySize, 2), maxIndexEntries)
}
