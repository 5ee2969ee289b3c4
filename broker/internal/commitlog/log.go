package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// Log is one partition's log. Its methods may be called from any goroutine.
type Log struct {
	fs       vfs.FS
	dir      string
	recovery Recovery // immutable after Open

	cfg atomic.Pointer[Config]

	cleanMu    sync.Mutex   // held over a cleaning, and by whoever must not meet one
	cleanStops atomic.Int32 // how many wait for a cleaning to stop
	flushMu    sync.Mutex   // held over a flush, and by whoever moves the end back

	// What readers see. Changed under mu, in this order for an append: a segment's size, then end.
	segments atomic.Pointer[[]*segment] // ascending by base; never changed in place
	start    atomic.Int64               // log start offset
	end      atomic.Int64               // log end offset
	cuts     atomic.Int64               // counts the beginnings and ends of truncations: a reader that saw one begins again
	failure  atomic.Pointer[error]      // why the log is offline or closed

	rebuildMu sync.Mutex // one index is built again at a time

	mu            sync.Mutex
	recoveryPoint Offset                      // guarded by mu
	cleaned       Offset                      // guarded by mu
	epochs        epochCache                  // guarded by mu
	producers     producers                   // changed under mu
	verifications map[ProducerID]verification // guarded by mu
	nextToken     uint64                      // guarded by mu
	active        activeState                 // guarded by mu
	filed         bool                        // guarded by mu: what closeSegment writes is in the directory already, since nothing changed after the opening
	strays        []Offset                    // guarded by mu: producer snapshots of earlier stops, which the next one makes superfluous
	dirDirty      bool                        // guarded by mu: a file was created, renamed or removed since the directory was flushed
	parentDirty   bool                        // guarded by mu: the directory itself is new
	doomed        []doomedFile                // guarded by mu: oldest first
	changed       []producerState             // guarded by mu: scratch of one append
	ended         []completion                // guarded by mu: scratch of one append
	marker        record.Builder              // guarded by mu: scratch of AppendMarker
}

// activeState is what the appender knows of the last segment beyond what every segment has.
type activeState struct {
	created  time.Time
	age      time.Duration // segment age of this segment, jitter taken off
	tornTail bool          // a failed append may have left bytes past the segment's size
}

// segs returns the segments, ascending. The slice is shared: it must not be changed.
func (l *Log) segs() []*segment { return *l.segments.Load() }

// setSegs publishes another list.
func (l *Log) setSegs(s []*segment) { l.segments.Store(&s) }

// activeSegment returns the segment that takes appends, or nil before the first. mu is held.
func (l *Log) activeSegment() *segment {
	if s := l.segs(); len(s) > 0 {
		return s[len(s)-1]
	}
	return nil
}

func (l *Log) config() *Config { return l.cfg.Load() }

// Configure changes the configuration. It holds from the next call on.
func (l *Log) Configure(cfg Config) {
	c := cfg.withDefaults()
	l.cfg.Store(&c)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active.age = c.jitteredAge()
}

// jitteredAge returns the age at which one segment is closed.
func (c *Config) jitteredAge() time.Duration {
	if c.SegmentJitter <= 0 {
		return c.SegmentAge
	}
	return max(c.SegmentAge-rand.N(c.SegmentJitter), 1)
}

// Recovery tells what [Open] found.
func (l *Log) Recovery() Recovery { return l.recovery }

// LogStart returns the first offset that is served.
func (l *Log) LogStart() Offset { return Offset(l.start.Load()) }

// End returns the offset that the next record will have.
func (l *Log) End() Offset { return Offset(l.end.Load()) }

// Size returns the size of the segments in bytes, indexes not counted.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range l.segs() {
		n += s.size.Load()
	}
	return n
}

// SegmentCount returns how many segments the log has.
func (l *Log) SegmentCount() int { return len(l.segs()) }

// Checkpoint returns what the owner of the directory should keep for the next opening.
func (l *Log) Checkpoint() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Checkpoint{LogStart: l.LogStart(), RecoveryPoint: l.recoveryPoint, Cleaned: max(l.cleaned, l.LogStart())}
}

// LastStable returns the last stable offset at high watermark hw: no record below it belongs to a transaction that is open, or whose marker
// lies at hw or above.
func (l *Log) LastStable(hw Offset) Offset { return l.producers.lastStable(hw, l.LogStart()) }

// ActiveProducers describes the producers that the log remembers, by id.
func (l *Log) ActiveProducers() []ProducerInfo { return l.producers.list() }

// OpenTransactions describes the producers that have a transaction open, by where it began.
func (l *Log) OpenTransactions() []ProducerInfo { return l.producers.listOpen() }

// ExpireProducers forgets producers that wrote nothing for Config.ProducerExpiry and have no open transaction. It returns how many.
func (l *Log) ExpireProducers(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireVerifications(now)
	return l.producers.expire(now, l.config().ProducerExpiry)
}

// EpochAt returns the leader epoch that offset o belongs to, or record.NoLeaderEpoch.
func (l *Log) EpochAt(o Offset) LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.at(o)
}

// EndOffsetForEpoch returns the largest epoch of the log that is not above e, and the offset at which it ends. Both are -1 when e is above
// all epochs of the log or the log has none.
func (l *Log) EndOffsetForEpoch(e LeaderEpoch) (LeaderEpoch, Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.endOf(e, l.End())
}

// AssignEpoch notes that a leader's reign begins at start, before anything of it is appended.
func (l *Log) AssignEpoch(e LeaderEpoch, start Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.epochs.assign(e, start) && start < l.End() {
		l.filed = false // an epoch without batches does not outlive the log's closing
	}
	return nil
}

// usable returns why nothing works any more, or nil.
func (l *Log) usable() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail takes the log offline, for the next opening too. The first reason stays.
func (l *Log) fail(cause error) error {
	err := fmt.Errorf("%w: %s: %w", ErrOffline, l.dir, cause)
	if l.failure.CompareAndSwap(nil, &err) {
		l.suspect()
	}
	return l.usable()
}

// segmentFor returns the index in segs of the segment that holds o, or would; -1 if o lies before all of them.
func segmentFor(segs []*segment, o Offset) int {
	return sort.Search(len(segs), func(i int) bool { return segs[i].base > o }) - 1
}

// acquireFor returns the segment that holds o, or would, with a reference; nil when there is none.
func (l *Log) acquireFor(o Offset) *segment {
	for {
		segs := l.segs()
		i := segmentFor(segs, o)
		if i < 0 {
			// Below the first segment lies nothing; the log may begin with a gap that compaction left.
			if len(segs) == 0 {
				return nil
			}
			i = 0
		}
		if segs[i].acquire() {
			return segs[i]
		}
	}
}

// roll closes the active segment and begins another at the log's end. mu is held.
func (l *Log) roll(now time.Time) error {
	old := l.activeSegment()
	end := l.End()
	if old != nil && old.base == end {
		return nil // nothing in it yet
	}
	cfg := l.config()
	if old == nil {
		if err := l.fs.MkdirAll(l.dir, 0o755); err != nil {
			return l.writeError(err)
		}
		l.parentDirty = true
	}
	s := newSegment(l.fs, l.dir, end, cfg)
	var room int64
	if cfg.Preallocate {
		room = cfg.SegmentBytes
	}
	if err := s.create(room); err != nil {
		return l.writeError(err)
	}
	l.dirDirty = true
	if old != nil {
		if err := l.closeSegment(old); err != nil {
			return l.writeError(errors.Join(err, s.release(), s.removeFiles()))
		}
	}
	l.setSegs(append(slices.Clip(l.segs()), s))
	l.filed = false
	l.active = activeState{created: now, age: cfg.jitteredAge()}
	return nil
}

// closeSegment writes what stands beside a segment that takes no more appends: its indexes, the producer state at its end and the epochs.
// None of it is flushed: all of it can be built again. mu is held.
func (l *Log) closeSegment(s *segment) error {
	if err := l.dropTornTail(s); err != nil {
		return err
	}
	if err := s.trim(); err != nil || l.filed {
		return err
	}
	if err := l.writeIndexes(s); err != nil {
		return err
	}
	if err := l.producers.writeSnapshot(l.fs, l.dir, l.End()); err != nil {
		return err
	}
	if err := l.dropStrays(); err != nil {
		return err
	}
	return l.epochs.save(l.fs, l.dir, l.End())
}

// writeIndexes writes a segment's index files.
func (l *Log) writeIndexes(s *segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	invariant.Always(s.mu.loaded, "commitlog: indexes of segment %s written before they are known", s.name())
	return writeIndexFiles(s.fs, s.dir, &s.mu.idx, s.size.Load(), s.mu.aborted)
}

// writeError turns a failed write into what the caller is told. A refusal can be waited out; after any other failure nobody knows what the disk holds.
func (l *Log) writeError(err error) error {
	switch {
	case isNoSpace(err):
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, l.dir, err)
	case IsRefusal(err):
		return fmt.Errorf("commitlog: %s: %w", l.dir, err)
	}
	return l.fail(err)
}

// Roll closes the active segment, if it holds anything, and begins another.
func (l *Log) Roll(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.activeSegment() == nil {
		return nil
	}
	return l.roll(now)
}

// stopCleaning takes cleanMu; a cleaning that holds it gives up.
func (l *Log) stopCleaning() {
	l.cleanStops.Add(1)
	defer l.cleanStops.Add(-1)
	l.cleanMu.Lock()
}

// Close flushes the log and writes what a clean opening needs. Later calls return [ErrClosed]. It may be called again.
func (l *Log) Close() error {
	l.stopCleaning()
	defer l.cleanMu.Unlock()
	err := l.Flush(l.End())
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.usable(), ErrClosed) {
		return nil
	}
	if s := l.activeSegment(); s != nil && err == nil {
		err = l.closeSegment(s)
	}
	return errors.Join(err, l.shut())
}

// shut ends the log's life: later calls fail, and the files are closed when their last reader has gone. mu is held.
func (l *Log) shut() error {
	closed := fmt.Errorf("%w: %s", ErrClosed, l.dir)
	l.failure.Store(&closed)
	var errs []error
	for _, s := range l.segs() {
		errs = append(errs, s.release())
	}
	l.setSegs(nil)
	return errors.Join(errs...)
}

// Discard closes the log without a flush: its directory is to be removed. It may be called again.
func (l *Log) Discard() error {
	l.stopCleaning()
	defer l.cleanMu.Unlock()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.usable(), ErrClosed) {
		return nil
	}
	return l.shut()
}
