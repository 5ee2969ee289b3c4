package commitlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// Open opens the log in dir. A log that never held a batch has no directory: it costs nothing until its first append.
//
// After an unclean end the segments past the recovery point are read and a torn tail is cut at the last valid batch. What is wrong in any
// other way, and could not be the mark of a crash, makes Open fail with [ErrCorrupt] and leaves the files as they are (L4, L5).
func Open(fsys vfs.FS, dir string, cfg Config, o OpenOptions) (*Log, error) {
	cfg = cfg.withDefaults()
	l := &Log{fs: fsys, dir: dir, verifications: map[ProducerID]verification{}, cleaned: o.Cleaned}
	l.cfg.Store(&cfg)
	l.setSegs(nil)
	l.producers.init()
	l.recovery.TruncatedAt = record.NoOffset
	if err := l.recover(&o); err != nil {
		for _, s := range l.segs() {
			err = errors.Join(err, s.release())
		}
		if !errors.Is(err, ErrCorrupt) && !isNotExist(err) && !IsRefusal(err) {
			l.suspect() // recovery writes and flushes too
		}
		return nil, fmt.Errorf("commitlog: open %s: %w", dir, err)
	}
	invariant.Always(l.LogStart() <= l.End(), "commitlog: %s: log start %d past log end %d", dir, l.LogStart(), l.End())
	return l, nil
}

// recover builds the log's state from its directory, and makes sure of a log that went offline.
func (l *Log) recover(o *OpenOptions) error {
	suspect, err := l.isSuspect()
	if err != nil {
		return err
	}
	o.Verify = o.Verify || suspect
	if err := l.load(o); err != nil || !o.Verify || len(l.segs()) == 0 && !suspect {
		return err
	}
	if err := l.clear(o.RecoveryPoint); err != nil {
		return l.writeError(err)
	}
	return nil
}

// checkNothing refuses an empty directory where records were flushed: somebody removed them, and offsets that were given once must not be given again.
func checkNothing(o *OpenOptions) error {
	if o.RecoveryPoint > o.LogStart {
		return fmt.Errorf("%w: the records from %d to %d, which were on the disk, are gone", ErrCorrupt, o.LogStart, o.RecoveryPoint)
	}
	return nil
}

// checkEnds refuses a log that lost whole segments, or batches at its end, for the same reason: no crash takes what was flushed, and after a clean stop the log's start is
// known. A segment that is gone from the middle, or was cut between two batches, is found when it is read (checkReach). What Kafka had in the meantime may begin and end
// elsewhere: its retention went over it, or it is another log.
func (l *Log) checkEnds(o *OpenOptions) error {
	if end := l.End(); end < o.RecoveryPoint && o.RecoveryPoint > o.LogStart && !kafkaHad(l.fs, l.dir, o.Clean) {
		return fmt.Errorf("%w: the records from %d to %d, which were on the disk, are gone", ErrCorrupt, end, o.RecoveryPoint)
	}
	if first := l.segs()[0].base; o.Clean && first > o.LogStart && o.RecoveryPoint > o.LogStart && !kafkaHad(l.fs, l.dir, o.Clean) {
		return fmt.Errorf("%w: the segments from %d to %d are gone", ErrCorrupt, o.LogStart, first)
	}
	segs := l.segs()
	for i, s := range segs[:len(segs)-1] {
		if s.size.Load() == 0 && (o.Clean || segs[i+1].base <= o.RecoveryPoint) && !l.fromKafka(s) {
			return corruptAt(s.name(), 0, "the segment is empty, and others follow")
		}
	}
	return nil
}

// load builds the log's state from its directory.
func (l *Log) load(o *OpenOptions) error {
	l.start.Store(int64(o.LogStart))
	l.end.Store(int64(o.LogStart))
	l.recoveryPoint = o.LogStart
	l.active = activeState{created: o.Now, age: l.config().jitteredAge()}
	names, err := l.fs.List(l.dir)
	if err != nil {
		if isNotExist(err) {
			return checkNothing(o)
		}
		return err
	}
	if err := l.tidy(&names); err != nil {
		return err
	}
	if err := l.loadSegments(names, o.LogStart); err != nil {
		return err
	}
	if len(l.segs()) == 0 {
		return checkNothing(o)
	}
	if err := l.recoverSegments(o); err != nil {
		return err
	}
	if err := l.checkEnds(o); err != nil {
		return err
	}
	if l.End() < o.LogStart {
		// The log's start was checkpointed, and what it stood on was not flushed. Nothing that may be served is left.
		return l.reset(o.LogStart)
	}
	l.start.Store(int64(max(o.LogStart, l.segs()[0].base)))
	l.cleaned = min(l.cleaned, l.End())
	if err := l.recoverEpochs(); err != nil {
		return err
	}
	return l.recoverProducers(o, snapshotsAmong(names)) // of which recovery may have removed some
}

// tidy finishes or undoes what a crash interrupted, and updates the directory's listing.
func (l *Log) tidy(names *[]string) error {
	kept := (*names)[:0]
	var swaps []string
	for _, name := range *names {
		path := l.fs.PathJoin(l.dir, name)
		_, _, isSwap := parseSwapName(name)
		switch ext := suffixOf(name); {
		case ext == suffixCleaned || ext == suffixTemp || ext == suffixDeleted || (ext == suffixSwap && !isSwap):
			if err := removeIfExists(l.fs, path); err != nil {
				return err
			}
		case isSwap:
			swaps = append(swaps, name)
		default:
			kept = append(kept, name)
		}
	}
	*names = kept
	slices.Sort(swaps)
	for _, name := range swaps {
		base, end, _ := parseSwapName(name)
		logs, err := finishSwap(l.fs, l.dir, base, end, *names)
		if err != nil {
			return err
		}
		*names = logs
	}
	return nil
}

// suffixOf returns a name's last dot and what follows.
func suffixOf(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i:]
		}
	}
	return ""
}

// finishSwap puts a cleaned segment in the place of those in [base, end). It can be repeated. It returns the names that are left.
func finishSwap(fsys vfs.FS, dir string, base, end Offset, names []string) ([]string, error) {
	kept := names[:0:0]
	var errs []error
	for _, name := range names {
		o, belongs := ownerOf(name)
		if !belongs || o < base || o >= end {
			kept = append(kept, name)
			continue
		}
		if name != fileName(base, suffixLog) { // replaced by the rename
			errs = append(errs, removeIfExists(fsys, fsys.PathJoin(dir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := fsys.Rename(fsys.PathJoin(dir, swapName(base, end)), fsys.PathJoin(dir, fileName(base, suffixLog))); err != nil {
		return nil, err
	}
	return append(kept, fileName(base, suffixLog)), syncDir(fsys, dir)
}

// ownerOf returns the segment that a file belongs to. Snapshots belong to nobody.
func ownerOf(name string) (Offset, bool) {
	for _, suffix := range []string{suffixLog, suffixSummary, suffixIndex, suffixTime, suffixTxn} {
		if o, ok := parseName(name, suffix); ok {
			return o, true
		}
	}
	return 0, false
}

// loadSegments makes the list of segments. Those that lie wholly below the log's start were on their way out, and go.
func (l *Log) loadSegments(names []string, logStart Offset) error {
	var bases []Offset
	for _, name := range names {
		if o, ok := parseName(name, suffixLog); ok {
			bases = append(bases, o)
		}
	}
	slices.Sort(bases)
	segs := make([]*segment, 0, len(bases))
	for i, base := range bases {
		s := newSegment(l.fs, l.dir, base, l.config())
		if i+1 < len(bases) && bases[i+1] <= logStart {
			if err := errors.Join(s.removeFiles(), removeIfExists(l.fs, s.path(suffixSnapshot))); err != nil {
				return err
			}
			l.dirDirty = true
			continue
		}
		st, err := l.fs.Stat(s.path(suffixLog))
		if err != nil {
			return err
		}
		if st.Size() > maxSegmentBytes*2 {
			return fmt.Errorf("%w: segment %s has %d bytes", ErrCorrupt, s.name(), st.Size())
		}
		s.size.Store(st.Size())
		segs = append(segs, s)
	}
	l.setSegs(segs)
	return nil
}

// recoverSegments finds the log's end: by the index of the last segment after a clean close, by reading otherwise.
func (l *Log) recoverSegments(o *OpenOptions) error {
	segs := l.segs()
	last := segs[len(segs)-1]
	if o.Clean && !o.Verify {
		idx := newIndex(last.base, int64(l.config().IndexInterval), l.config().indexEntries())
		if aborted, ok := readIndexFiles(l.fs, l.dir, &idx, last.size.Load()); ok {
			last.mu.idx, last.mu.aborted, last.mu.loaded = idx, aborted, true
			l.end.Store(int64(idx.next))
			l.recoveryPoint = idx.next
			return nil
		}
		l.recovery.RebuiltIndexes++
	}
	first := max(segmentFor(segs, o.RecoveryPoint), 0)
	flushed := o.RecoveryPoint
	switch {
	case o.Verify:
		first = 0
	case o.Clean:
		first = len(segs) - 1
	}
	for i := first; i < len(segs); i++ {
		cut, err := l.recoverSegment(segs, i, flushed, o.Verify)
		if err != nil {
			return err
		}
		if cut {
			break
		}
	}
	l.recoveryPoint = max(min(o.RecoveryPoint, l.End()), l.segs()[0].base)
	return nil
}

// recoverEpochs loads the epochs' checkpoint and adds what the segments past it tell.
func (l *Log) recoverEpochs() error {
	entries, upTo := loadEpochs(l.fs, l.dir)
	l.epochs.entries = entries
	l.epochs.cutEnd(l.End())
	segs := l.segs()
	for _, s := range segs[max(segmentFor(segs, min(upTo, l.End())), 0):] {
		if s.base >= l.End() || upTo >= l.End() {
			break
		}
		f, err := s.open()
		if err != nil {
			return err
		}
		_, err = hopTo(s, f, 0, s.size.Load(), func(b record.Batch) bool {
			if last, ok := l.epochs.latest(); b.BaseOffset() >= upTo && (!ok || b.LeaderEpoch() > last.Epoch) {
				l.epochs.assign(b.LeaderEpoch(), b.BaseOffset())
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	l.epochs.cutStart(l.LogStart())
	l.filed = upTo == l.End()
	return nil
}

// recoverProducers loads the snapshot at the log's end, or builds the state from an earlier one. What the active segment's index does not
// know of aborted transactions is found on the way.
func (l *Log) recoverProducers(o *OpenOptions, snapshots []Offset) error {
	if err := l.dropSnapshots(snapshots, l.End()); err != nil {
		return err
	}
	l.strays = straysAmong(snapshots, l.segs())
	active := l.activeSegment()
	r := &replayTo{end: l.End(), snapshots: snapshots, snapshotBy: l.End(), now: o.Now}
	active.mu.Lock()
	loaded := active.mu.loaded
	active.mu.Unlock()
	if !loaded {
		r.snapshotBy, r.collect = active.base, active
	}
	aborted, err := l.replayCollecting(&l.producers, r)
	if err != nil {
		return err
	}
	l.recovery.ProducersReplay = r.snapshot != l.End()
	l.filed = l.filed && o.Clean && loaded && r.snapshot == l.End()
	if !loaded {
		active.mu.Lock()
		defer active.mu.Unlock()
		active.mu.aborted, active.mu.loaded = aborted, true
	}
	return nil
}
