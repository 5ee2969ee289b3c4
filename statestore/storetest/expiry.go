package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// testKeyValueExpires moves the stream time past entries that are staged, cached and in the engine alone.
func testKeyValueExpires(t *testing.T, e statestore.Engine) {
	for _, cache := range []int{0, 1 << 20} {
		now := int64(100)
		p := partition(t, e, fmt.Sprint("ttl", cache), 0)
		spec := statestore.KeyValue("ttl", serde.String, serde.String).ExpireAfter(10 * time.Millisecond)
		s := openStore[statestore.KeyValueStore[string, string]](t, spec, statestore.Backend{Partition: p, CacheBytes: cache, WriteBack: true, StreamTime: func() int64 { return now }})
		var got []statestore.Update[string, string]
		s.OnFlush(true, func(u *statestore.Update[string, string]) error { got = append(got, *u); return nil })
		show := func(want ...string) {
			t.Helper()
			var have []string
			for _, e := range entries(t, s.All()) {
				have = append(have, e.Key)
				if v, found, err := s.Get(e.Key); v != e.Value || !found || err != nil {
					t.Errorf("the walk has %q = %q, Get %q, %v, %v", e.Key, e.Value, v, found, err)
				}
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("at %d the store shows %q, want %q", now, have, want)
			}
		}
		check(t, s.Put("a", "1", 91))
		check(t, s.Put("b", "1", 92))
		check(t, s.Put("late", "1", 90)) // expired already
		show("a", "b")
		commit(t, e, s)
		show("a", "b")
		now = 101
		show("b")
		got = nil
		check(t, s.Put("a", "2", 101))
		check(t, s.Delete("late", 101))
		check(t, s.Put("b", "2", 101))
		commit(t, e, s)
		want := []statestore.Update[string, string]{
			{Key: "a", New: "2", HasNew: true, Timestamp: 101}, // what expired is no old value, and its deletion no change
			{Key: "b", New: "2", HasNew: true, Old: "1", HasOld: true, Timestamp: 101},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("forwarded %v, want %v", got, want)
		}
		const n = 1000
		for i := range n {
			check(t, s.Put(fmt.Sprintf("k%04d", i), "v", 105))
		}
		commit(t, e, s)
		const young = 200 // at the front of the store, more than a sweep looks at
		for i := range young {
			check(t, s.Put(fmt.Sprintf("a%04d", i), "v", 110))
		}
		commit(t, e, s)
		now = 114
		if have := len(entries(t, s.Range(statestore.Prefix[string]([]byte("k"))))); have != n {
			t.Errorf("%d entries before they expire, want %d", have, n)
		}
		now = 115
		if have := len(entries(t, s.All())); have != young {
			t.Errorf("%d entries after the others expired, want %d", have, young)
		}
		check(t, s.Put("k0500", "new", 115)) // must survive the sweep that meets its old value
		for commits := 0; len(scan(t, p, nil, nil, false)) > young+1; commits++ {
			if commits > n {
				t.Fatal("what expired is not removed")
			}
			commit(t, e, s)
		}
		now = 120
		show("k0500")
		if have := entries(t, spec.View([]statestore.Partition{p}).All()); len(have) != young+1 {
			t.Errorf("the view has %d entries, want all that are not removed yet", len(have))
		}
	}
	for _, spec := range []statestore.Spec{
		statestore.KeyValue("x", serde.String, serde.String).ExpireAfter(time.Microsecond),
		statestore.KeyValue("x", serde.String, serde.String).ExpireAfter(-time.Hour),
		statestore.KeyValue("x", serde.String, serde.String).ExpireAfter(time.Hour), // without a stream time
	} {
		if openError(spec, nil) == nil {
			t.Error("a spec with a wrong expiry opens")
		}
	}
}

// testKeyValuePrefix scans as a foreign-key join does: keys are a length, the foreign key and the primary key, and one foreign key may begin with another.
func testKeyValuePrefix(t *testing.T, e statestore.Engine) {
	spec := statestore.KeyValue("sub", serde.Bytes, serde.Bytes)
	s := openStore[statestore.KeyValueStore[[]byte, []byte]](t, spec, statestore.Backend{Partition: partition(t, e, "sub", 0), CacheBytes: 1 << 10, WriteBack: true})
	foreign := []string{"", "\x00", "\xff", "\xff\xff", "a", "ab", "b"}
	head := func(f string) []byte { return append([]byte{0, 0, 0, byte(len(f))}, f...) }
	for round := range 3 { // staged; in the engine; and both
		if round < 2 {
			for i, f := range foreign {
				for _, k := range []string{"", "1", "\xff\xff"} {
					if (i+len(k))%2 == round {
						check(t, s.Put(append(head(f), k...), []byte(f+"/"+k), int64(round)))
					}
				}
			}
		}
		for i, f := range foreign {
			var want []string
			for _, k := range []string{"", "1", "\xff\xff"} {
				if (i+len(k))%2 <= round {
					want = append(want, f+"/"+k)
				}
			}
			var have []string
			for _, e := range entries(t, s.Range(statestore.Prefix[[]byte](head(f)))) {
				have = append(have, string(e.Value))
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("round %d: subscriptions of %q: %q, want %q", round, f, have, want)
			}
		}
		commit(t, e, s)
	}
}
