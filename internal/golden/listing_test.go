package golden_test

import (
	"cmp"
	"slices"
)

// listed is an entry of a store of windows or sessions, with what the library's stores are ordered by: a window's start, a session's end and start.
type listed struct {
	storeEntry
	time, start int64
}

// inLibraryOrder brings the entries of a store into the order in which the library lists them. Ours lists by key and then by time; the library's stores differ: those in
// memory and those that emit on close go by time, the others by segments of time and by key within.
func (in *interpreter) inLibraryOrder(op *caseOp, entries []listed) (out []storeEntry) {
	retention, _ := in.retention(op.Store + "-changelog")
	segment, startFirst := max(retention/2, 60_000), false
	switch inMemory := op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory"; {
	case inMemory:
		segment = 1
	case in.closes(op):
		segment, startFirst = 1, true
	}
	slices.SortStableFunc(entries, func(a, b listed) int {
		if c := cmp.Compare(a.time/segment, b.time/segment); c != 0 || !startFirst {
			return c
		}
		return cmp.Compare(a.start, b.start)
	})
	for _, e := range entries {
		out = append(out, e.storeEntry)
	}
	return out
}

// closes tells whether an aggregation emits on close.
func (in *interpreter) closes(op *caseOp) bool {
	return slices.ContainsFunc(in.c.Topology, func(w caseOp) bool { return w.Op == "windowedBy" && w.ID == op.Of && w.Emit == "onWindowClose" })
}
