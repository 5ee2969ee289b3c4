package postgres

import (
	"sync"
	"time"
)

// State is what a source is doing.
type State string

// The states of a source.
const (
	Connecting State = "connecting"
	Snapshot   State = "snapshot"
	Streaming  State = "streaming"
	Waiting    State = "waiting" // for the database or the log to come back; Detail says why
	Stopped    State = "stopped"
)

// Stats are a source's figures at one moment.
type Stats struct {
	State  State
	Detail string // of Waiting: the error

	Rows         int64 // changes and snapshot rows written to the log since Run began
	Transactions int64 // of the database, committed to the log since Run began
	Skipped      int64 // changes left out, since the log had them or a snapshot showed them
	LagBytes     int64 // of write-ahead log between the server's end and what is committed in the log
	// Lag is how old the database's state is that the log has, when there is a lag in bytes; else 0. It is known from the first commit on.
	Lag           time.Duration
	RetainedBytes int64 // of write-ahead log that the slot makes the server keep

	SnapshotTable string        // being read, when State is Snapshot
	SnapshotRows  int64         // read of all tables so far
	SnapshotOf    int64         // rows in all, by the server's estimate
	SnapshotLeft  time.Duration // at the pace so far
}

// gauges are the figures as they are collected.
type gauges struct {
	mu            sync.Mutex
	stats         Stats  // guarded by mu
	serverEnd     uint64 // of the write-ahead log, when it was looked at last
	committed     uint64
	lastCommit    time.Time // of the newest transaction in the log, by the database's clock
	asOf          time.Time // when serverEnd was there
	level         time.Time // the log has all that was there then
	snapshotBegun time.Time
}

func (g *gauges) update(f func(*gauges)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g)
}

// reach notes the committed position or the server's end, whichever came last. The caller holds mu.
func (g *gauges) reach() {
	if g.committed > 0 && g.committed >= g.serverEnd && g.asOf.After(g.level) {
		g.level = g.asOf
	}
}

func (g *gauges) state(s State, detail string) {
	g.update(func(g *gauges) { g.stats.State, g.stats.Detail = s, detail })
}

// Stats returns the source's figures. It may be called at any time, by anyone.
func (s *Source) Stats() Stats {
	g := &s.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.stats
	if g.serverEnd > g.committed && g.committed > 0 {
		out.LagBytes = int64(g.serverEnd - g.committed)
		since := g.level
		if g.lastCommit.After(since) {
			since = g.lastCommit
		}
		if !since.IsZero() {
			out.Lag = max(0, time.Since(since))
		}
	}
	if out.State == Snapshot && out.SnapshotRows > 0 && out.SnapshotOf > out.SnapshotRows {
		perRow := time.Since(g.snapshotBegun) / time.Duration(out.SnapshotRows)
		out.SnapshotLeft = perRow * time.Duration(out.SnapshotOf-out.SnapshotRows)
	}
	return out
}
