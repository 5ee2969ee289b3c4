package statestore

import "fmt"

// retained is a core whose keys have a time and are forgotten by it: its layout is segments. Owned by the task's goroutine.
type retained struct {
	core
	*segments
	committed segments // as of the last commit, for Discard
	// complete is the time after which the overlay has all entries that there are: the engine held none of them when the store was opened, and none of them was
	// evicted since. Reads of recent times, which are most, so need no engine.
	complete int64
}

// open makes s a store over its part of an engine. timeOf returns the time in a key.
func (s *retained) open(name string, b Backend, cached bool, retention int64, timeOf func(key []byte) int64) error {
	seg, err := openSegments(b.Partition, retention, timeOf)
	if err != nil {
		return fmt.Errorf("statestore: store %q: %w", name, err)
	}
	*s = retained{core: newCore(name, b, cached, seg), segments: seg, committed: *seg, complete: seg.observed}
	s.absent = func(key []byte) bool { return timeOf(key) > s.complete }
	s.table.EvictOldest(timeOf)
	s.table.KeepOrder(func(key []byte) { s.complete = max(s.complete, timeOf(key)) })
	return nil
}

// ObservedTime is the store's time.
func (s *retained) ObservedTime() int64 { return s.observed }

// begin makes m a walk over the entries with keys in [lo, hi); those with times in [from, to) are among them. The engine is asked for those only that the overlay may
// lack.
func (s *retained) begin(m *merged, lo, hi []byte, from, to int64, reverse bool) error {
	it, err := s.old(lo, hi, from, to, reverse)
	if err != nil {
		return err
	}
	s.over(m, it, lo, hi, reverse)
	return nil
}

// beginGroup is begin for the keys that consist of name and a suffix, where the overlay has groups; others may be among them.
func (s *retained) beginGroup(m *merged, name, lo, hi []byte, from, to int64, reverse bool) error {
	it, err := s.old(lo, hi, from, to, reverse)
	if err != nil {
		return err
	}
	s.overGroup(m, it, name, lo, hi, reverse)
	return nil
}

// old walks over what the engine has and the overlay may lack.
func (s *retained) old(lo, hi []byte, from, to int64, reverse bool) (Iterator, error) {
	it, err := s.segments.scan(s.partition, lo, hi, from, min(to, saturate(s.complete)), reverse)
	if err != nil {
		return nil, s.fail("scan", err)
	}
	return it, nil
}

// Stage adds the staged changes, the deletion of what is too old, and the store's time.
func (s *retained) Stage(b Batch) error {
	if err := s.core.Stage(b); err != nil {
		return err
	}
	if s.table.AnySettled() {
		s.unobserve()
	}
	if err := s.seal(b, s.partition); err != nil {
		return s.fail("stage", err)
	}
	return nil
}

// unobserve takes back what entries that came and went did to the store's time: the changelog does not have them, so that a restore could not know.
func (s *retained) unobserve() {
	s.observed = s.committed.observed
	for _, i := range s.table.Sorted() {
		if !s.table.Settled(i) {
			key, _, _ := s.table.EntryAt(i)
			s.observed = max(s.observed, s.timeOf(key))
		}
	}
}

// Committed makes staged changes clean cache entries.
func (s *retained) Committed() {
	s.core.Committed()
	s.committed = *s.segments
}

// Discard forgets staged changes and cached entries, and what they did to the store's time.
func (s *retained) Discard() {
	s.core.Discard()
	*s.segments = s.committed
	s.complete = s.observed
}
