package golden_test

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// listed is an entry of a store of windows or sessions, with the time that the library's stores go by: a window's start, a session's end.
type listed struct {
	storeEntry
	time int64
}

// inLibraryOrder brings the entries of a store into the order in which the library lists them. Ours lists by key and then by time; the library's stores differ: those in
// memory, and windows of one stream that are emitted on close, go by time, the others by segments of time and by key within.
func (in *interpreter) inLibraryOrder(op *caseOp, sessions bool, entries []listed) (out []storeEntry) {
	retention, _ := in.retention(op.Store + "-changelog")
	segment := max(retention/2, 60_000)
	inMemory := op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory"
	if inMemory || !sessions && in.closes(op) && !in.cogrouped(op) {
		segment = 1
	}
	slices.SortStableFunc(entries, func(a, b listed) int { return cmp.Compare(a.time/segment, b.time/segment) })
	for _, e := range entries {
		out = append(out, e.storeEntry)
	}
	return out
}

// withoutCached leaves out of the library's listing of a store of windows or sessions what the store hides as expired: its cache shows such entries all the same, until
// they happen to be evicted or the task moves. Ours hides them either way, before a crash as after it.
func (in *interpreter) withoutCached(store string, entries []storeEntry) []storeEntry {
	i := slices.IndexFunc(in.c.Topology, func(op caseOp) bool { return op.Store == store })
	if i < 0 || !in.caches(&in.c.Topology[i]) {
		return entries
	}
	op := &in.c.Topology[i]
	retention, timeAt := in.retention(store + "-changelog")
	if retention == 0 {
		return entries
	}
	timeOf := func(e storeEntry) int64 {
		window := (*e.Key)[strings.LastIndex(*e.Key, "@")+1:]
		start, end, _ := strings.Cut(window, "/")
		if timeAt == sessionTimeAt {
			start = end
		}
		at, err := strconv.ParseInt(start, 10, 64)
		if err != nil {
			panic(err)
		}
		return at
	}
	observed := int64(-1)
	for _, e := range entries {
		observed = max(observed, timeOf(e))
	}
	for _, r := range in.c.Expect.Internal[op.Store+"-changelog"] {
		observed = max(observed, timeInKey(r[0].(string), timeAt))
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e storeEntry) bool { return timeOf(e) <= observed-retention })
}

// caches tells whether a store of the case has a cache.
func (in *interpreter) caches(op *caseOp) bool {
	return in.c.Config.CacheBytes > 0 && (op.Cache == nil || *op.Cache) && !in.closes(op)
}

// cogrouped tells whether an aggregation by windows is of several streams.
func (in *interpreter) cogrouped(op *caseOp) bool {
	return slices.ContainsFunc(in.c.Topology, func(w caseOp) bool {
		return w.Op == "windowedBy" && w.ID == op.Of && slices.ContainsFunc(in.c.Topology, func(q caseOp) bool { return q.Op == "cogroup" && q.ID == w.Of })
	})
}

// closes tells whether an aggregation emits on close.
func (in *interpreter) closes(op *caseOp) bool {
	return slices.ContainsFunc(in.c.Topology, func(w caseOp) bool { return w.Op == "windowedBy" && w.ID == op.Of && w.Emit == "onWindowClose" })
}
