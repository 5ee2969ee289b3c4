package commitlog

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"time"
)

const offsetEntrySize = 8

type Log struct{}
type VerificationGuard struct {
	token uint64
	tv2   bool
}

func (g VerificationGuard) Needed() bool { return g.token != 0 }

type CleanOptions struct {
	UpTo  Offset // last stable offset or lower
	Now   time.Time
	Force bool // ignore dirty ratio
}
type CleanStats struct {
	BytesRead, BytesWritten  int64
	RecordsRead, RecordsKept int64
	Cleaned                  Offset
}

func Open(fs vfs.FS, dir string, cfg Config, o OpenOptions) (*Log, error) { panic("soon") }
func (l *Log) Recovery() Recovery                                         { panic("soon") }
func (l *Log) Close() error                                               { panic("soon") } // flushes and writes what a clean open needs
func (l *Log) Remove() error                                              { panic("soon") } // closes and deletes the directory
func (l *Log) Configure(cfg Config)                                       { panic("soon") }
func (l *Log) Append(batches []byte, o AppendOptions) (AppendInfo, error) { panic("soon") }
func (l *Log) AppendMarker(o MarkerOptions) (AppendInfo, error)           { panic("soon") }
func (l *Log) BeginVerification(id ProducerID, epoch ProducerEpoch, seq int32, bumped bool) (VerificationGuard, error) {
	panic("soon")
}
func (l *Log) TxnOpen(id ProducerID, epoch ProducerEpoch) bool                     { panic("soon") }
func (l *Log) Read(dst []byte, from Offset, o ReadOptions) (ReadResult, error)     { panic("soon") }
func (l *Log) LogStart() Offset                                                    { panic("soon") }
func (l *Log) End() Offset                                                         { panic("soon") }
func (l *Log) Size() int64                                                         { panic("soon") }
func (l *Log) LastStable(hw Offset) Offset                                         { panic("soon") }
func (l *Log) AbortedIn(dst []AbortedTxn, from, upTo Offset) ([]AbortedTxn, error) { panic("soon") }
func (l *Log) OffsetForTime(ts int64, upTo Offset) (TimestampOffset, bool, error)  { panic("soon") }
func (l *Log) MaxTimestamp(upTo Offset) (TimestampOffset, bool, error)             { panic("soon") }
func (l *Log) LatestEpoch() (EpochEntry, bool)                                     { panic("soon") }
func (l *Log) EndOffsetForEpoch(e LeaderEpoch) (LeaderEpoch, Offset)               { panic("soon") }
func (l *Log) EpochAt(o Offset) LeaderEpoch                                        { panic("soon") }
func (l *Log) AssignEpoch(e LeaderEpoch, start Offset) error                       { panic("soon") }
func (l *Log) Flush(upTo Offset) error                                             { panic("soon") } // everything below upTo is durable when it returns
func (l *Log) Checkpoint() Checkpoint                                              { panic("soon") }
func (l *Log) AdvanceLogStart(to Offset) error                                     { panic("soon") }
func (l *Log) DeleteOldSegments(now time.Time, upTo Offset) (int, error)           { panic("soon") }
func (l *Log) Roll(now time.Time) error                                            { panic("soon") }
func (l *Log) Truncate(to Offset) (Offset, error)                                  { panic("soon") }
func (l *Log) Reset(start Offset) error                                            { panic("soon") }
func (l *Log) DirtyRatio(upTo Offset, now time.Time) (float64, bool)               { panic("soon") }
func (l *Log) Clean(o CleanOptions) (CleanStats, error)                            { panic("soon") }
func (l *Log) ActiveProducers() []ProducerInfo                                     { panic("soon") }
func (l *Log) ExpireProducers(now time.Time) int                                   { panic("soon") }
