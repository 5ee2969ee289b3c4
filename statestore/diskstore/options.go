package diskstore

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure an engine. The zero value is ready.
type Options struct {
	// FS holds the directory. Default: the operating system's.
	FS vfs.FS
	// CacheBytes bounds the cache of blocks read from disk, shared by all stores. Memory that memtables do not use at present, up to two of them, is lent to it.
	// Default: 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one of up to four memtables that take commits before they are flushed. A commit larger than half of it bypasses the
	// memtable's skip list and costs half as much per entry. The memory is taken as it is needed: of an instance with little to write, less than one. Default: 64 MiB.
	MemTableBytes uint64
	// FlushInterval is how old a commit may become before it is made durable, as long as others follow. It bounds what a crash sends back to the changelog.
	// Default: 10 s.
	FlushInterval time.Duration
	// Logger gets what goes wrong in the background. Default: nothing is logged.
	Logger *slog.Logger
	// Now is the clock for FlushInterval. Default: time.Now.
	Now func() time.Time
}

const (
	defaultCacheBytes    = 64 << 20
	defaultMemTableBytes = 64 << 20
	defaultFlushInterval = 10 * time.Second
	// memTables is how many memtables may wait for their flush before commits wait.
	memTables = 4
	// cachedMemTables is how many memtables Pebble may count against the block cache before blocks lose room: the one that is written and the one that is being flushed.
	// Were there none, a busy store's memtables would leave the cache no block at all, not even the filters.
	cachedMemTables = 2
	// l0Tables is how many flushes lie beside each other before they are merged with what lies below, twice over as Pebble counts, and l0StopTables when commits wait for
	// that. Pebble's own 4 rewrites the store at every second flush: too often for stores that change their entries again and again, and are mostly read in memory. What
	// is merged late is windows that are gone by then; a read looks into up to eight tables more, by their filters.
	l0Tables     = 16
	l0StopTables = 32
	// bloomBits a key give one false positive in a hundred.
	bloomBits = 10
	// openFiles is how many table files stay open: 1,000 of 2 MiB and more are beyond what the changelog of one instance should hold.
	openFiles = 1000
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = defaultFlushInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// pebbleCacheBytes is the size of Pebble's cache, which memtables count against.
func (o *Options) pebbleCacheBytes() int64 {
	return o.CacheBytes + cachedMemTables*int64(o.MemTableBytes)
}

// pebbleOptions are Pebble's options but for the parts with a life of their own: cache, lock and listener.
func (o *Options) pebbleOptions() *pebble.Options {
	p := &pebble.Options{
		FS:                          o.FS,
		FormatMajorVersion:          pebble.FormatNewest,
		DisableWAL:                  true,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       l0Tables,
		L0StopWritesThreshold:       l0StopTables,
		MaxOpenFiles:                openFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                      logger{o.Logger},
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		p.Levels[i].FilterType = pebble.TableFilter
	}
	// Tables of the first level are soon merged into the next: packing them would cost more than their space.
	p.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	return p
}

// logger hands Pebble's messages to slog. Pebble tells at Info about every flush and compaction, which is of use only to who debugs.
type logger struct{ l *slog.Logger }

func (l logger) Infof(format string, args ...any) { l.l.Debug(fmt.Sprintf(format, args...)) }

func (l logger) Errorf(format string, args ...any) { l.l.Error(fmt.Sprintf(format, args...)) }

// Fatalf must not return: Pebble calls it where going on would damage the database, mostly after a failed write of its manifest. What is on disk stays whole.
func (l logger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.l.Error(msg)
	panic(fatal("diskstore: the database cannot go on: " + msg))
}

// fatal is what Fatalf panics with.
type fatal string

func (f fatal) Error() string { return string(f) }
