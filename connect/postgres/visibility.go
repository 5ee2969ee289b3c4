package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
)

// visibility is what a snapshot saw, as pg_current_snapshot tells it: all transactions below Xmin, none from Xmax on, and between them those that are
// not in Running.
type visibility struct {
	Xmin    uint64   `json:"xmin"`
	Xmax    uint64   `json:"xmax"`
	Running []uint64 `json:"running,omitempty"` // sorted
	// LSN is a place in the write-ahead log behind the commit of every transaction that the snapshot saw.
	LSN pglogrepl.LSN `json:"lsn"`
}

// parseVisibility reads "xmin:xmax:running,running…".
func parseVisibility(text string) (visibility, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return visibility{}, fmt.Errorf("postgres: snapshot %q: want xmin:xmax:running", text)
	}
	var v visibility
	var err error
	if v.Xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return visibility{}, fmt.Errorf("postgres: snapshot %q: %w", text, err)
	}
	if v.Xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return visibility{}, fmt.Errorf("postgres: snapshot %q: %w", text, err)
	}
	for _, s := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }) {
		x, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return visibility{}, fmt.Errorf("postgres: snapshot %q: %w", text, err)
		}
		v.Running = append(v.Running, x)
	}
	slices.Sort(v.Running)
	return v, nil
}

// saw tells whether the snapshot shows what transaction xid did, which committed at commit. The stream gives the lower half of an xid only.
func (v *visibility) saw(xid uint32, commit pglogrepl.LSN) bool {
	if commit > v.LSN {
		return false
	}
	full := v.Xmax + uint64(int64(int32(xid-uint32(v.Xmax)))) // the nearest to Xmax: two billion transactions each way
	if full < v.Xmin {
		return true
	}
	if full >= v.Xmax {
		return false
	}
	_, running := slices.BinarySearch(v.Running, full)
	return !running
}
