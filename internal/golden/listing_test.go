package golden_test

import (
	"cmp"
	"slices"
)

// listed is an entry of a store of windows or sessions, with the time that the library's stores go by: a window's start, a session's end.
type listed struct {
	storeEntry
	time int64
}

// inLibraryOrder brings the entries of a store into the order in which the library lists them. Ours lists by key and then by time; the library's stores differ: those in
// memory, and windows that are emitted on close, go by time, the others by segments of time and by key within.
func (in *interpreter) inLibraryOrder(op *caseOp, sessions bool, entries []listed) (out []storeEntry) {
	retention, _ := in.retention(op.Store + "-changelog")
	segment := max(retention/2, 60_000)
	inMemory := op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory"
	if inMemory || !sessions && in.closes(op) {
		segment = 1
	}
	slices.SortStableFunc(entries, func(a, b listed) int { return cmp.Compare(a.time/segment, b.time/segment) })
	for _, e := range entries {
		out = append(out, e.storeEntry)
	}
	return out
}

// closes tells whether an aggregation emits on close.
func (in *interpreter) closes(op *caseOp) bool {
	return slices.ContainsFunc(in.c.Topology, func(w caseOp) bool { return w.Op == "windowedBy" && w.ID == op.Of && w.Emit == "onWindowClose" })
}
