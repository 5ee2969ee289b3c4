package postgres

import (
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
)

// Op is what happened to a row.
type Op string

// The operations, by Debezium's letters.
const (
	Create Op = "c"
	Update Op = "u"
	Delete Op = "d"
	Read   Op = "r" // seen by the snapshot
)

// origin is where a change comes from.
type origin struct {
	lsn      pglogrepl.LSN // of the change; for a snapshot, of the place where it was taken
	xid      uint32
	commit   time.Time
	snapshot bool
}

// appendEnvelope appends a record's value: Debezium's envelope, which many tools read. before and after are nil where there is no such row.
//
// Beyond Debezium's fields stands "unchanged": the columns that are not in "after" because the update left them alone and the write-ahead log does
// not repeat them (large values out of line). Null is told apart from it: a null column is there, with null.
func (t *table) appendEnvelope(dst []byte, op Op, before, after row, from origin, now time.Time) ([]byte, error) {
	var err error
	dst = append(dst, `{"before":`...)
	if dst, err = t.appendSide(dst, before); err != nil {
		return dst, err
	}
	dst = append(dst, `,"after":`...)
	if dst, err = t.appendSide(dst, after); err != nil {
		return dst, err
	}
	dst = append(dst, `,"source":{`...)
	dst = append(dst, t.source...)
	dst = append(dst, `,"ts_ms":`...)
	dst = strconv.AppendInt(dst, from.commit.UnixMilli(), 10)
	if from.snapshot {
		dst = append(dst, `,"snapshot":"true"`...)
	} else {
		dst = append(dst, `,"snapshot":"false"`...)
	}
	dst = append(dst, `,"txId":`...)
	dst = strconv.AppendUint(dst, uint64(from.xid), 10)
	dst = append(dst, `,"lsn":`...)
	dst = strconv.AppendUint(dst, uint64(from.lsn), 10)
	dst = append(dst, `},"op":"`...)
	dst = append(dst, op...)
	dst = append(dst, `","ts_ms":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	if names := t.unchanged(after); names != nil {
		dst = append(dst, `,"unchanged":`...)
		dst = append(dst, names...)
	}
	return append(dst, '}'), nil
}

func (t *table) appendSide(dst []byte, r row) ([]byte, error) {
	if r == nil {
		return append(dst, "null"...), nil
	}
	return t.appendRow(dst, r)
}
