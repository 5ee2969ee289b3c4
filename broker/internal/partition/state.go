package partition

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// Offsets are the four ends of a partition at one moment.
type Offsets struct {
	LogStart      record.Offset
	LastStable    record.Offset
	HighWatermark record.Offset
	End           record.Offset
}

// Check returns the first broken relation of the offsets.
func (o Offsets) Check() error {
	switch {
	case o.LogStart < 0:
		return fmt.Errorf("partition: log start %d is negative", o.LogStart)
	case o.LogStart > o.LastStable:
		return fmt.Errorf("partition: log start %d lies above the last stable offset %d", o.LogStart, o.LastStable)
	case o.LastStable > o.HighWatermark:
		return fmt.Errorf("partition: last stable offset %d lies above the high watermark %d", o.LastStable, o.HighWatermark)
	case o.HighWatermark > o.End:
		return fmt.Errorf("partition: high watermark %d lies above the log end %d", o.HighWatermark, o.End)
	}
	return nil
}

// State is a replica's view of its partition. Make one with New.
type State struct {
	id      int32 // of this replica
	epoch   record.LeaderEpoch
	minISR  int
	offsets Offsets      // without LastStable, which the log knows
	inSync  []replicaEnd // of the replicas in sync, this one among them: a handful, looked at with every append
	leads   bool
}

// replicaEnd is up to where a replica has the log as the flush mode demands.
type replicaEnd struct {
	id  int32
	end record.Offset // exclusive
}

// endOf returns the entry of a replica; nil when it is not in sync.
func (s *State) endOf(id int32) *replicaEnd {
	for i := range s.inSync {
		if s.inSync[i].id == id {
			return &s.inSync[i]
		}
	}
	return nil
}

// New returns the state of replica id whose log holds [start, end), hw of which was known to be committed.
func New(id int32, start, hw, end record.Offset) *State {
	return &State{
		id:      id,
		epoch:   record.NoLeaderEpoch,
		offsets: Offsets{LogStart: start, HighWatermark: min(max(hw, start), end), End: end},
	}
}

// Lead makes this replica the leader in an epoch. inSync are the replicas in sync, this one included; factor is the number of replicas and minISR
// what min.insync.replicas asks for, which never counts for more than the factor. It reports whether the high watermark rose.
func (s *State) Lead(epoch record.LeaderEpoch, inSync []int32, factor, minISR int) bool {
	s.epoch, s.leads = epoch, true
	s.minISR = min(minISR, factor)
	ends := make([]replicaEnd, len(inSync))
	for i, id := range inSync {
		ends[i] = replicaEnd{id: id, end: s.offsets.LogStart} // not known yet: holds the high watermark back
		if known := s.endOf(id); known != nil {
			ends[i].end = known.end
		}
	}
	s.inSync = ends
	return s.advance()
}

// Epoch is the leader epoch; NoLeaderEpoch when this replica does not lead.
func (s *State) Epoch() record.LeaderEpoch {
	if !s.leads {
		return record.NoLeaderEpoch
	}
	return s.epoch
}

// InSync reports whether acks=all can be given: enough replicas are in sync.
func (s *State) InSync() bool { return len(s.inSync) >= s.minISR }

// Appended says that the log now ends at end. It reports whether the high watermark rose: a flush may have covered an append before its end was told.
func (s *State) Appended(end record.Offset) bool {
	if end <= s.offsets.End {
		return false
	}
	s.offsets.End = end
	return s.advance()
}

// Persisted says up to where a replica has the log as the flush mode demands. It reports whether the high watermark rose.
func (s *State) Persisted(id int32, end record.Offset) bool {
	r := s.endOf(id)
	if r == nil || end <= r.end {
		return false
	}
	r.end = end
	return s.advance()
}

func (s *State) advance() bool {
	if !s.leads || len(s.inSync) < s.minISR || len(s.inSync) == 0 {
		return false
	}
	hw := s.offsets.End
	for i := range s.inSync {
		hw = min(hw, s.inSync[i].end)
	}
	if hw <= s.offsets.HighWatermark {
		return false
	}
	s.offsets.HighWatermark = hw
	return true
}

// Started says that the log now begins at start, because of retention or DeleteRecords. It never falls.
func (s *State) Started(start record.Offset) {
	s.offsets.LogStart = max(s.offsets.LogStart, min(start, s.offsets.HighWatermark))
}

// HighWatermark is the end of what is committed.
func (s *State) HighWatermark() record.Offset { return s.offsets.HighWatermark }

// Offsets returns the four ends. stable is the first offset of a transaction that is open, or whose end is not committed, as the log knows it for this
// high watermark.
func (s *State) Offsets(stable record.Offset) Offsets {
	o := s.offsets
	o.LastStable = max(min(stable, o.HighWatermark), o.LogStart)
	if err := o.Check(); err != nil {
		invariant.Always(false, "%v", err) // not above, where the error would be boxed for every read
	}
	return o
}
