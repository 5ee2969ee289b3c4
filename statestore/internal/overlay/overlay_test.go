package overlay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is what a table should know.
type model struct {
	staged map[string]string // "" is a deletion
	engine map[string]string // what is committed
}

func randomSource(t *testing.T) *rand.Rand {
	s := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", s)
		}
	})
	return rand.New(rand.NewPCG(s, 1))
}

func TestTableEqualsModel(t *testing.T) {
	r := randomSource(t)
	for _, limit := range []int{0, 2000, 1 << 20} {
		for _, keepOrder := range []bool{false, true} {
			t.Run(fmt.Sprintf("limit=%d,keepOrder=%v", limit, keepOrder), func(t *testing.T) { runModel(t, r, limit, keepOrder, limit > 0 && keepOrder) })
		}
	}
}

func runModel(t *testing.T, r *rand.Rand, limit int, keepOrder, track bool) {
	table := New(limit)
	if track {
		table.Track(true)
	}
	evicted := make(map[string]bool) // since when they were not put again
	if keepOrder {
		table.KeepOrder(func(key []byte) { evicted[string(key)] = true })
	}
	table.Group(groupSuffix)
	m := model{make(map[string]string), make(map[string]string)}
	known := make(map[string]bool) // put at some time: with keepOrder a scan sees them unless evicted
	for range 20_000 {
		key := fmt.Sprintf("%s%d", strings.Repeat("long ", r.IntN(3)), r.IntN(300))
		if r.IntN(4) == 0 { // a key once, and a number of keys that are known or not
			table.Warm([]byte(key), len(key))
			table.Warm(fmt.Appendf(nil, "%0*d", 3*r.IntN(20), r.IntN(300)), 3)
		}
		switch x := r.IntN(100); {
		case x < 30:
			v := strings.Repeat("v", 1+r.IntN(60))
			table.Put([]byte(key), []byte(v))
			m.staged[key], known[key] = v, true
			delete(evicted, key)
		case x < 40:
			table.Delete([]byte(key), nil)
			m.staged[key], known[key] = "", true
			delete(evicted, key)
		case x < 90:
			want, isStaged := m.staged[key]
			if !isStaged {
				want = m.engine[key]
			}
			v, has, ok := table.Get([]byte(key))
			if !ok {
				if isStaged {
					t.Fatalf("the table does not know the staged key %q", key)
				}
				table.Fill([]byte(key), []byte(want), want != "")
				continue
			}
			if string(v) != want && has || has != (want != "") {
				t.Fatalf("get of %q: %q, %v, want %q", key, v, has, want)
			}
		case x < 94:
			checkGroup(t, r, table, &m, keepOrder, known, evicted)
		case x < 97:
			checkScan(t, r, table, &m, keepOrder, known, evicted)
		case x < 99:
			if got, want := sorted(table), slices.Sorted(maps.Keys(m.staged)); !slices.Equal(got, want) {
				t.Fatalf("staged keys %q, want %q", got, want)
			}
			checkBytes(t, table)
			table.Commit()
			checkBytes(t, table)
			for k, v := range m.staged {
				if v == "" {
					delete(m.engine, k)
				} else {
					m.engine[k] = v
				}
			}
			clear(m.staged)
			if table.CleanBytes() > limit || table.StagedBytes() != 0 {
				t.Fatalf("after a commit %d clean bytes of %d, %d staged", table.CleanBytes(), limit, table.StagedBytes())
			}
		case r.IntN(10) == 0:
			table.Discard()
			clear(m.staged)
			clear(known)
			clear(evicted)
		}
	}
}

// checkBytes adds up what the table says that its entries take.
func checkBytes(t *testing.T, table *Table) {
	t.Helper()
	stagedBytes, cleanBytes, heldBytes := 0, 0, 0
	for i := range table.entries {
		e := &table.entries[i]
		if e.flags&pendingFlag != 0 {
			heldBytes += e.bytes()
		}
		if e.flags&staged != 0 {
			stagedBytes += e.bytes()
		} else {
			cleanBytes += e.bytes()
		}
	}
	if table.StagedBytes() != stagedBytes || table.CleanBytes() != cleanBytes {
		t.Fatalf("the table says %d staged and %d clean bytes, its entries add up to %d and %d", table.StagedBytes(), table.CleanBytes(), stagedBytes, cleanBytes)
	}
	if table.HeldBytes() != heldBytes {
		t.Fatalf("the table says %d bytes held back, its entries add up to %d", table.HeldBytes(), heldBytes)
	}
}

func sorted(t *Table) (keys []string) {
	order := t.Sorted()
	for n, i := range order {
		t.WarmSorted(order, n)
		key, _, _ := t.EntryAt(i)
		keys = append(keys, string(key))
	}
	return keys
}

// groupSuffix is how many digits at the end of the model's keys tell those of a group apart.
const groupSuffix = 2

func checkGroup(t *testing.T, r *rand.Rand, table *Table, m *model, keepOrder bool, known, evicted map[string]bool) {
	t.Helper()
	name := strings.Repeat("long ", r.IntN(3))
	if d := r.IntN(4); d > 0 {
		name += fmt.Sprint(d)
	}
	lo, hi, reverse := fmt.Appendf(nil, "%s%02d", name, r.IntN(100)), fmt.Appendf(nil, "%s%02d", name, r.IntN(100)), r.IntN(2) == 0
	if r.IntN(3) == 0 {
		lo = nil
	}
	if r.IntN(3) == 0 {
		hi = nil
	}
	var want []string
	for _, k := range expected(m, lo, hi, reverse, keepOrder, known, evicted) {
		if len(k) == len(name)+groupSuffix && strings.HasPrefix(k, name) {
			want = append(want, k)
		}
	}
	var it Iter
	table.ScanGroup(&it, []byte(name), lo, hi, reverse)
	if got := walk(t, &it, m); !slices.Equal(got, want) {
		t.Fatalf("scan of group %q in [%q, %q) reverse=%v: %q, want %q", name, lo, hi, reverse, got, want)
	}
}

func checkScan(t *testing.T, r *rand.Rand, table *Table, m *model, keepOrder bool, known, evicted map[string]bool) {
	t.Helper()
	lo, hi, reverse := []byte(fmt.Sprint(r.IntN(300))), []byte(fmt.Sprint(r.IntN(300))), r.IntN(2) == 0
	if r.IntN(3) == 0 {
		lo = nil
	}
	if r.IntN(3) == 0 {
		hi = nil
	}
	want := expected(m, lo, hi, reverse, keepOrder, known, evicted)
	var it Iter
	table.Scan(&it, lo, hi, reverse)
	if got := walk(t, &it, m); !slices.Equal(got, want) {
		t.Fatalf("scan of [%q, %q) reverse=%v: %q, want %q", lo, hi, reverse, got, want)
	}
}

// expected are the keys that a scan of [lo, hi) should show.
func expected(m *model, lo, hi []byte, reverse, keepOrder bool, known, evicted map[string]bool) (want []string) {
	for k := range known {
		_, isStaged := m.staged[k]
		if (isStaged || keepOrder && !evicted[k]) && (lo == nil || k >= string(lo)) && (hi == nil || k < string(hi)) {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	if reverse {
		slices.Reverse(want)
	}
	return want
}

// walk goes to the end of a scan and compares the values on the way.
func walk(t *testing.T, it *Iter, m *model) (got []string) {
	t.Helper()
	for it.Next() {
		k := string(it.Key())
		got = append(got, k)
		v, has := it.Entry()
		expect, isStaged := m.staged[k]
		if !isStaged {
			expect = m.engine[k]
		}
		if has != (expect != "") || has && string(v) != expect {
			t.Fatalf("scan shows %q = %q, %v, want %q", k, v, has, expect)
		}
	}
	if it.Next() {
		t.Fatal("Next after the end found something")
	}
	it.Close()
	it.Close()
	return got
}

func TestScanGoesOnWhileTheTableChanges(t *testing.T) {
	for _, grouped := range []bool{false, true} {
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("grouped=%v,reverse=%v", grouped, reverse), func(t *testing.T) { scanWhileTheTableChanges(t, grouped, reverse) })
		}
	}
}

func scanWhileTheTableChanges(t *testing.T, grouped, reverse bool) {
	table := New(1 << 20)
	table.Group(3)
	for i := range 50 {
		table.Put(fmt.Appendf(nil, "%03d", 2*i), []byte("v"))
	}
	var it Iter
	if grouped {
		table.ScanGroup(&it, nil, nil, nil, reverse)
	} else {
		table.Scan(&it, nil, nil, reverse)
	}
	var got []string
	for it.Next() {
		got = append(got, string(it.Key()))
		if len(got) == 10 { // one key on each side of the walk
			table.Put([]byte("001"), []byte("v"))
			table.Put([]byte("097"), []byte("v"))
		}
		if len(got) == 20 { // a rebuild moves every entry
			table.rebuild(0)
		}
	}
	ahead, behind := "097", "001"
	if reverse {
		ahead, behind = behind, ahead
	}
	if len(got) != 51 || !slices.Contains(got, ahead) || slices.Contains(got, behind) {
		t.Errorf("the walk saw %d keys: %q", len(got), got)
	}
	if reverse {
		slices.Reverse(got)
	}
	if !slices.IsSorted(got) {
		t.Errorf("the walk is out of order: %q", got)
	}
	it.Close()
}

func TestOldestEntriesLeaveFirst(t *testing.T) {
	const limit = 10_000
	timeOf := func(key []byte) int64 { return int64(binary.BigEndian.Uint64(key)) }
	table, complete := New(limit), int64(-1)
	table.EvictOldest(timeOf)
	table.KeepOrder(func(key []byte) { complete = max(complete, timeOf(key)) })
	r := randomSource(t)
	const entries = 1000
	for _, at := range r.Perm(entries) {
		table.Put(binary.BigEndian.AppendUint64(nil, uint64(at)), []byte("value"))
	}
	for at := range uint64(entries / 2) { // use does not keep them
		table.Get(binary.BigEndian.AppendUint64(nil, at))
	}
	table.Commit()
	if n := table.Len(); n == 0 || table.CleanBytes() > limit {
		t.Fatalf("%d entries of %d bytes are left, want some, of %d bytes at most", n, table.CleanBytes(), limit)
	}
	if complete != int64(entries-table.Len()-1) {
		t.Errorf("%d entries are left, evicted up to time %d, want the newest to be left", table.Len(), complete)
	}
	for at := range uint64(entries) {
		if _, _, known := table.Get(binary.BigEndian.AppendUint64(nil, at)); known != (int64(at) > complete) {
			t.Errorf("time %d, evicted up to %d: known %v", at, complete, known)
		}
	}
}

// TestPrefixesCompareAsKeys holds what the index keeps of keys against the keys.
func TestPrefixesCompareAsKeys(t *testing.T) {
	r := randomSource(t)
	key := func() []byte {
		k := make([]byte, r.IntN(20))
		for i := range k {
			k[i] = byte(r.IntN(2)) // zeros are what a short key is filled up with
		}
		return k
	}
	for range 20_000 {
		a, b := key(), key()
		if c := prefixesOf(a).compare(prefixesOf(b)); c != 0 && c != bytes.Compare(a, b) {
			t.Fatalf("% x and % x: %d", a, b, c)
		}
	}
}

func TestWalkKeepsWhatItHasToFind(t *testing.T) {
	table := New(4000)
	table.KeepOrder(func(key []byte) { t.Errorf("%q is evicted during a walk", key) })
	for i := range 20 {
		table.Put(fmt.Appendf(nil, "%03d", i), []byte("v"))
	}
	table.Commit()
	var it Iter
	table.Scan(&it, nil, nil, false)
	for i := range 1000 {
		table.Fill(fmt.Appendf(nil, "x%03d", i), []byte("v"), true)
	}
	n := 0
	for it.Next() {
		n++
	}
	if n != 20 {
		t.Errorf("the walk saw %d entries, want 20", n)
	}
}

func TestPendingKeepsOrderAndOldValues(t *testing.T) {
	take := func(table *Table) (out []string) {
		for {
			p, ok := table.TakePending()
			if !ok {
				return out
			}
			out = append(out, fmt.Sprintf("%s=%s,%v<%s,%d", p.Key, p.Value, p.Has, p.OldValue, p.Old))
		}
	}
	oldValue := regexp.MustCompile("<[^,]*")
	for c := range 4 {
		rebuild, old := c&1 != 0, c&2 != 0
		expected := func(changes ...string) []string {
			for i := range changes {
				if !old {
					changes[i] = oldValue.ReplaceAllString(changes[i], "<")
				}
			}
			return changes
		}
		table := New(1 << 20)
		table.Track(old)
		put := func(k, v string) { table.Put([]byte(k), []byte(v)) }
		maybeRebuild := func() {
			if rebuild {
				table.rebuild(1 << 20)
			}
		}
		put("a", "1")
		put("b", "1")
		maybeRebuild()
		put("a", "22")
		table.Fill([]byte("gone"), nil, false)
		put("gone", "1")
		maybeRebuild()
		want := expected("b=1,true<,0", "a=22,true<,0", "gone=1,true<,1")
		if got := take(table); !reflect.DeepEqual(got, want) {
			t.Errorf("rebuild=%v, old=%v: pending %q, want %q", rebuild, old, got, want)
		}
		maybeRebuild()
		put("a", "333")
		table.Delete([]byte("b"), []byte("t"))
		put("a", "4")
		maybeRebuild()
		want = expected("b=t,false<1,2", "a=4,true<22,2")
		if got := take(table); !reflect.DeepEqual(got, want) {
			t.Errorf("rebuild=%v, old=%v: pending %q, want %q", rebuild, old, got, want)
		}
		table.Commit()
		put("b", "5")
		if !table.HasPending() {
			t.Error("a change is not pending")
		}
		table.Commit()
		if table.HasPending() {
			t.Error("a change is pending after its commit")
		}
		put("b", "6")
		if got := take(table); !reflect.DeepEqual(got, expected("b=6,true<5,2")) {
			t.Errorf("rebuild=%v, old=%v: pending %q", rebuild, old, got)
		}
	}
}

// TestSettledUntilItChanges: what the engine has already is said by the entry until it changes again or is committed, wherever a rebuild moves it.
func TestSettledUntilItChanges(t *testing.T) {
	table := New(1 << 20)
	table.Track(true)
	settled := func() (keys []string) {
		for _, i := range table.Sorted() {
			if key, _, _ := table.EntryAt(i); table.Settled(i) {
				keys = append(keys, string(key))
			}
		}
		return keys
	}
	settle := func() {
		for {
			p, ok := table.TakePending()
			if !ok {
				return
			}
			if !p.Has && p.Committed {
				table.Settle(&p)
			}
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		table.Delete([]byte(key), []byte("t"))
	}
	settle()
	table.Put([]byte("b"), []byte("1"))
	table.rebuild(1 << 20)
	if got := settled(); !reflect.DeepEqual(got, []string{"a", "c"}) {
		t.Errorf("settled: %q, want a and c", got)
	}
	settle()
	table.Delete([]byte("b"), []byte("t"))
	table.Put([]byte("c"), []byte("1"))
	table.Delete([]byte("c"), []byte("t"))
	settle() // what was before b went is not what was committed
	if got := settled(); !reflect.DeepEqual(got, []string{"a", "c"}) {
		t.Errorf("settled after a second change: %q, want a and c", got)
	}
	table.Commit()
	table.Delete([]byte("a"), []byte("t"))
	if got := settled(); got != nil {
		t.Errorf("settled after a commit: %q, want none", got)
	}
}

// TestMemoryStaysBounded changes a set of keys over and over, with values that grow and shrink.
func TestMemoryStaysBounded(t *testing.T) {
	for _, track := range []bool{false, true} {
		table := New(1 << 20)
		if track {
			table.Track(true)
		}
		value := bytes.Repeat([]byte("v"), 100)
		largest := 0
		for round := range 200 {
			for k := range 1000 {
				table.Put(binary.BigEndian.AppendUint32(nil, uint32(k)), value[:8+(k+round)%90])
			}
			for {
				if _, ok := table.TakePending(); !ok {
					break
				}
			}
			table.Commit()
			largest = max(largest, table.arena.allocated)
		}
		// 1,000 keys of 4 + 98 bytes and the same again for old values; as much again may be garbage, before a round that writes all of them.
		if limit := 1000 * 102 * 2 * 3; largest > limit {
			t.Errorf("track=%v: the arena grew to %d bytes, want at most %d", track, largest, limit)
		}
		if table.Len() != 1000 {
			t.Errorf("track=%v: %d entries, want 1000", track, table.Len())
		}
	}
}

func TestFixedSizeChangesAllocateNothing(t *testing.T) {
	for _, track := range []bool{false, true} {
		table := New(1 << 20)
		if track {
			table.Track(true)
		}
		key, value := []byte("key"), make([]byte, 16)
		table.Put(key, value)
		used := 0
		n := testing.AllocsPerRun(1000, func() {
			table.Get(key)
			table.Put(key, value)
			table.TakePending()
			table.Commit()
			used = table.arena.allocated
		})
		if n != 0 || used > 64 {
			t.Errorf("track=%v: %v allocations a change, the arena has %d bytes", track, n, used)
		}
	}
}

// TestCollectorSeesNoEntries counts heap objects: a million entries must not be a million of them.
func TestCollectorSeesNoEntries(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := New(1 << 30)
	for i := range 200_000 {
		table.Put(binary.BigEndian.AppendUint64(nil, uint64(i)*2654435761), []byte("value of 16 byte"))
	}
	table.Commit()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapObjects) - int64(before.HeapObjects); n > 500 {
		t.Errorf("200,000 entries are %d objects on the heap", n)
	}
	runtime.KeepAlive(table)
}

func TestLargeValuesAreNotCached(t *testing.T) {
	table := New(10_000)
	table.Fill([]byte("small"), []byte("v"), true)
	table.Fill([]byte("large"), make([]byte, 9_000), true)
	if _, _, known := table.Get([]byte("large")); known {
		t.Error("a value of nearly the whole cache is cached")
	}
	if _, _, known := table.Get([]byte("small")); !known {
		t.Error("a large value pushed a small one out")
	}
}

func TestSweepKeepsWhatIsUsed(t *testing.T) {
	table := New(20_000)
	hot := []byte("hot")
	table.Fill(hot, []byte("v"), true)
	for i := range 10_000 {
		table.Fill(fmt.Appendf(nil, "cold %d", i), []byte("v"), true)
		if _, _, known := table.Get(hot); !known {
			t.Fatalf("a key that is used all the time was evicted after %d others", i)
		}
	}
	if table.CleanBytes() > 20_000 {
		t.Errorf("%d bytes are cached, the limit is 20,000", table.CleanBytes())
	}
}
