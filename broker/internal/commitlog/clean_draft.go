package commitlog

import "time"

type CleanOptions struct {
	UpTo  Offset
	Now   time.Time
	Force bool
}
type CleanStats struct {
	BytesRead, BytesWritten  int64
	RecordsRead, RecordsKept int64
	Cleaned                  Offset
}

func (l *Log) DirtyRatio(upTo Offset, now time.Time) (float64, bool) { panic("soon") }
func (l *Log) Clean(o CleanOptions) (CleanStats, error)              { panic("soon") }
