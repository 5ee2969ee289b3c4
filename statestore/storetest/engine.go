package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/statestore"
)

func testReadsWhatItCommitted(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	w.set(p, "a", "1")
	w.set(p, "b", "2")
	w.checkpoint(p, "at 2")
	w.commit()
	w.set(p, "a", "3")
	w.delete(p, "b")
	w.delete(p, "never there")
	w.commit()
	if v, found := get(t, p, "a"); v != "3" || !found {
		t.Errorf("a = %q, %v, want 3", v, found)
	}
	if v, found := get(t, p, "b"); found {
		t.Errorf("b = %q, want it deleted", v)
	}
	c, err := p.Checkpoint()
	check(t, err)
	if string(c) != "at 2" {
		t.Errorf("checkpoint %q, want the one of the batch before", c)
	}
	mangle(c)
	if c, _ := p.Checkpoint(); string(c) != "at 2" {
		t.Errorf("checkpoint %q after its slice was changed", c)
	}
}

func testEmptyFromAbsent(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	if c, err := p.Checkpoint(); c != nil || err != nil {
		t.Errorf("checkpoint of a new partition %v, %v, want nil", c, err)
	}
	w.set(p, "empty value", "")
	w.set(p, "", "empty key")
	w.checkpoint(p, "")
	w.commit()
	if v, found := get(t, p, "empty value"); v != "" || !found {
		t.Errorf("empty value = %q, %v, want it found", v, found)
	}
	if v, found := get(t, p, ""); v != "empty key" || !found {
		t.Errorf("empty key = %q, %v", v, found)
	}
	if _, found := get(t, p, "absent"); found {
		t.Error("found what was never set")
	}
	if c, err := p.Checkpoint(); c == nil || len(c) != 0 || err != nil {
		t.Errorf("empty checkpoint reads as %v, %v", c, err)
	}
	want := []entry{{"", "empty key"}, {"empty value", ""}}
	if got := scan(t, p, nil, nil, false); !reflect.DeepEqual(got, want) {
		t.Errorf("scan %q, want %q", got, want)
	}
	w.delete(p, "")
	w.commit()
	if got := scan(t, p, nil, nil, false); !reflect.DeepEqual(got, want[1:]) {
		t.Errorf("scan %q after the empty key went, want %q", got, want[1:])
	}
}

func testPartitionsApart(t *testing.T, e statestore.Engine) {
	w := newWriter(t, e)
	var parts []statestore.Partition
	for _, store := range []string{"s", "s2", "", "a store\x00with any name"} {
		for _, n := range []int32{0, 1, 255, 256} {
			p := partition(t, e, store, n)
			w.set(p, "k", fmt.Sprintf("%s/%d", store, n))
			w.checkpoint(p, fmt.Sprintf("%s@%d", store, n))
			parts = append(parts, p)
		}
	}
	w.commit()
	w.deleteRange(parts[1], nil, nil)
	w.commit()
	i := 0
	for _, store := range []string{"s", "s2", "", "a store\x00with any name"} {
		for _, n := range []int32{0, 1, 255, 256} {
			p := parts[i]
			want := []entry{{"k", fmt.Sprintf("%s/%d", store, n)}}
			if i == 1 {
				want = nil
			}
			i++
			if got := scan(t, p, nil, nil, i%2 == 0); !reflect.DeepEqual(got, want) {
				t.Errorf("store %q partition %d holds %q, want %q", store, n, got, want)
			}
			if c, err := p.Checkpoint(); string(c) != fmt.Sprintf("%s@%d", store, n) || err != nil {
				t.Errorf("store %q partition %d has checkpoint %q, %v", store, n, c, err)
			}
		}
	}
}

func testScanBounds(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 1), newWriter(t, e)
	m := newModel()
	for _, k := range []string{"", "\x00", "a", "a\x00", "aa", "ab", "b", "\xff", "\xff\xff", "\xff\xff\xff\xff\xff"} {
		w.set(p, k, "v"+k)
		m.entries[k] = "v" + k
	}
	w.commit()
	bounds := []*string{nil, at(""), at("\x00"), at("a"), at("a\x00"), at("aaa"), at("b"), at("c"), at("\xff"), at("\xff\xff\xff\xff\xff\xff")}
	for _, lo := range bounds {
		for _, hi := range bounds {
			for _, reverse := range []bool{false, true} {
				got, want := scan(t, p, lo, hi, reverse), m.scan(lo, hi, reverse)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("scan [%q, %q) reverse=%v: %q, want %q", bound(lo), bound(hi), reverse, got, want)
				}
			}
		}
	}
}

func testDeleteRange(t *testing.T, e statestore.Engine) {
	w := newWriter(t, e)
	const n = 2000
	for i, r := range [][2]*string{{at("0100"), at("1900")}, {nil, at("0500")}, {at("0500"), nil}, {nil, nil}, {at("0700"), at("0700")}, {at("0900"), at("0800")}} {
		p, m := partition(t, e, "s", int32(i)), newModel()
		for k := range n {
			key := fmt.Sprintf("%04d", k)
			w.set(p, key, "v")
			m.entries[key] = "v"
		}
		w.commit()
		w.deleteRange(p, r[0], r[1])
		w.commit()
		m.deleteRange(r[0], r[1])
		if got, want := scan(t, p, nil, nil, false), m.scan(nil, nil, false); !reflect.DeepEqual(got, want) {
			t.Errorf("after the deletion of [%q, %q): %d entries, want %d", bound(r[0]), bound(r[1]), len(got), len(want))
		}
		w.set(p, "0950", "again")
		w.commit()
		if v, _ := get(t, p, "0950"); v != "again" {
			t.Errorf("a key set after its range was deleted reads %q", v)
		}
	}
}

func testBatchOrder(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	w.set(p, "a", "1")
	w.set(p, "a", "2")
	w.set(p, "b", "1")
	w.deleteRange(p, at("b"), nil)
	w.set(p, "c", "1")
	w.delete(p, "a")
	w.set(p, "a", "3")
	w.checkpoint(p, "1")
	w.checkpoint(p, "2")
	if w.b.Size() == 0 {
		t.Error("a batch with writes has size 0")
	}
	w.commit()
	want := []entry{{"a", "3"}, {"c", "1"}}
	if got := scan(t, p, nil, nil, false); !reflect.DeepEqual(got, want) {
		t.Errorf("batch left %q, want %q", got, want)
	}
	if c, _ := p.Checkpoint(); string(c) != "2" {
		t.Errorf("checkpoint %q, want the last", c)
	}
	w.commit() // now empty
	if got := scan(t, p, nil, nil, true); len(got) != 2 {
		t.Errorf("an empty batch left %q", got)
	}
}

func testNothingBeforeCommit(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	w.set(p, "a", "1")
	w.checkpoint(p, "1")
	if _, found := get(t, p, "a"); found {
		t.Error("a write is seen before its commit")
	}
	if c, _ := p.Checkpoint(); c != nil {
		t.Error("a checkpoint is seen before its commit")
	}
	check(t, w.b.Close())
	check(t, w.b.Close())
	if got := scan(t, p, nil, nil, false); got != nil {
		t.Errorf("a batch that was closed left %q", got)
	}
}

func testScanIsSnapshot(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	m := newModel()
	for i := range 1000 {
		k := fmt.Sprintf("%04d", i)
		w.set(p, k, "old")
		m.entries[k] = "old"
	}
	w.commit()
	for _, reverse := range []bool{false, true} {
		it, err := p.Scan(nil, nil, reverse)
		check(t, err)
		before := m.scan(nil, nil, reverse)
		w.deleteRange(p, at("0100"), at("0900"))
		w.set(p, "0050", "new")
		w.set(p, "0500x", "new")
		w.commit()
		m.deleteRange(at("0100"), at("0900"))
		m.entries["0050"], m.entries["0500x"] = "new", "new"
		if got := collect(t, it); !reflect.DeepEqual(got, before) {
			t.Errorf("reverse=%v: a scan that was open during a commit saw %d entries, want the %d from before", reverse, len(got), len(before))
		}
		if got, want := scan(t, p, nil, nil, reverse), m.scan(nil, nil, reverse); !reflect.DeepEqual(got, want) {
			t.Errorf("reverse=%v: a scan after the commit saw %d entries, want %d", reverse, len(got), len(want))
		}
	}
}

func testWipe(t *testing.T, e statestore.Engine) {
	p, q, w := partition(t, e, "s", 0), partition(t, e, "s", 1), newWriter(t, e)
	for _, x := range []statestore.Partition{p, q} {
		w.set(x, "", "1")
		w.set(x, "a", "1")
		w.set(x, "\xff\xff\xff\xff\xff", "1")
		w.checkpoint(x, "1")
	}
	w.commit()
	check(t, p.Wipe())
	if got := scan(t, p, nil, nil, false); got != nil {
		t.Errorf("a wiped partition holds %q", got)
	}
	if c, err := p.Checkpoint(); c != nil || err != nil {
		t.Errorf("a wiped partition has checkpoint %q, %v", c, err)
	}
	if got := scan(t, q, nil, nil, false); len(got) != 3 {
		t.Errorf("the other partition holds %q", got)
	}
	w.set(p, "a", "2")
	w.commit()
	if v, _ := get(t, p, "a"); v != "2" {
		t.Errorf("a wiped partition reads %q after a write", v)
	}
}

func testOpensOnce(t *testing.T, e statestore.Engine) {
	w := newWriter(t, e)
	p, err := e.Partition("s", 3)
	check(t, err)
	if _, err := e.Partition("s", 3); err == nil || !strings.Contains(err.Error(), "open already") {
		t.Errorf("a second opening: %v, want an error that says so", err)
	}
	w.set(p, "a", "1")
	w.commit()
	check(t, p.Close())
	check(t, p.Close())
	if err := w.b.Set(p, []byte("b"), nil); err == nil {
		t.Error("a closed partition can be written")
	}
	again := partition(t, e, "s", 3)
	if err := p.Wipe(); err == nil {
		t.Error("a closed partition can be wiped")
	}
	if v, _ := get(t, again, "a"); v != "1" {
		t.Errorf("a reopened partition reads %q", v)
	}
	check(t, p.Close()) // the old handle must not close the new one
	if _, err := e.Partition("s", 3); err == nil {
		t.Error("the close of an old handle let the partition open twice")
	}
}

func testCloseIdempotent(t *testing.T, e statestore.Engine) {
	b := e.NewBatch()
	check(t, b.Close())
	check(t, e.Flush())
	check(t, e.Close())
	check(t, e.Close())
	if _, err := e.Partition("s", 0); err == nil {
		t.Error("a closed engine opens a partition")
	}
}

func testIndependentBatches(t *testing.T, e statestore.Engine) {
	const writers, rounds = 4, 50
	var wg sync.WaitGroup
	for n := range writers {
		p := partition(t, e, "s", int32(n))
		b := newWriter(t, e)
		wg.Go(func() {
			for i := range rounds {
				err := errors.Join(
					b.b.Set(p, []byte(fmt.Sprintf("%03d", i)), []byte("v")),
					b.b.SetCheckpoint(p, []byte(fmt.Sprint(i))),
					b.b.Commit())
				if err != nil {
					t.Error(err)
					return
				}
			}
			if got, err := p.Checkpoint(); string(got) != fmt.Sprint(rounds-1) || err != nil {
				t.Errorf("partition %d: checkpoint %q, %v", n, got, err)
			}
		})
	}
	wg.Wait()
}

func testForeignPartition(t *testing.T, e statestore.Engine) {
	w := newWriter(t, e)
	if err := w.b.Set(foreign{}, []byte("a"), nil); err == nil {
		t.Error("a batch took a partition of another engine")
	}
}

// foreign is a partition of no engine.
type foreign struct{ statestore.Partition }
