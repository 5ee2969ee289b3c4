package runtime

import (
	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/millrace-io/millrace/internal/topology"
)

// reading is a cursor with the record that it read last, in the form that topologies take, whose topic and partition are set once. It belongs to whoever reads.
type reading struct {
	cursor  *client.Cursor
	rec     record.Record
	raw     topology.RawRecord // of rec
	headers []topology.Header  // memory for raw
}

// next reads the next record; ok is false when there is none yet.
func (r *reading) next() (ok bool, err error) {
	if ok, err = r.cursor.Next(&r.rec); err != nil || !ok {
		return false, err
	}
	rec, raw := &r.rec, &r.raw
	raw.Offset, raw.LeaderEpoch = int64(rec.Offset), r.cursor.Epoch()
	raw.Timestamp, raw.Key, raw.Value, raw.Headers = rec.Timestamp, rec.Key, rec.Value, nil
	if rec.HeaderCount > 0 {
		r.headers = r.headers[:0]
		for h := range rec.Headers {
			r.headers = append(r.headers, topology.Header(h))
		}
		raw.Headers = r.headers
	}
	return true, nil
}
