package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// testHoldBytes: a store with a bound hands on all that it holds back when that is more, in the order of the last changes and each change with its own headers and old
// value, and says nothing of what came and went.
func testHoldBytes(t *testing.T, e statestore.Engine) {
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	open := func(n int32, holdBytes int) (kvStore, *[]string) {
		s := openStore[kvStore](t, spec, statestore.Backend{Partition: partition(t, e, "kv", n), CacheBytes: 1 << 20, WriteBack: true, HoldBytes: holdBytes})
		var got []string
		s.OnFlush(true, func(u *statestore.Update[string, string]) error {
			got = append(got, fmt.Sprintf("%s=%s<%s %d", u.Key, u.New, u.Old, len(s.NotedHeaders())))
			return nil
		})
		return s, &got
	}
	put := func(s kvStore, key, value string, headers ...statestore.Header) {
		t.Helper()
		if value == "" {
			check(t, s.Delete(key, 1))
		} else {
			check(t, s.Put(key, value, 1))
		}
		s.NoteHeaders(headers)
		check(t, s.Spill())
	}
	expect := func(got *[]string, want ...string) {
		t.Helper()
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("forwarded %q, want %q", *got, want)
		}
		*got = nil
	}
	s, got := open(0, 1)
	put(s, "a", "1", statestore.Header{Key: "h"})
	expect(got, "a=1< 1")
	put(s, "b", "")
	expect(got)
	put(s, "a", "2")
	put(s, "a", "")
	expect(got, "a=2<1 0", "a=<2 0")
	if records := commit(t, e, s); len(records) != 1 || !records[0].Deleted || records[0].Key != "a" {
		t.Errorf("the changelog gets %v, want the deletion of a", records)
	}

	s, got = open(1, 1<<10)
	put(s, "a", "1")
	put(s, "b", "1")
	put(s, "a", "2")
	expect(got)
	for i := 0; *got == nil; i++ {
		put(s, fmt.Sprint("c", i), "1")
	}
	if n := len(*got); n < 10 || n > 30 || (*got)[0] != "b=1< 0" || (*got)[1] != "a=2< 0" || (*got)[n-1] != fmt.Sprintf("c%d=1< 0", n-3) {
		t.Errorf("forwarded %q, want b, a and all of c when they take 1 KiB", *got)
	}

	s, got = open(2, 1<<10)
	for range 3 { // the headers of a key count once, and not any more when a change without any takes their place
		put(s, "a", "1", statestore.Header{Key: "h", Value: make([]byte, 700)})
	}
	put(s, "a", "2")
	put(s, "b", "1", statestore.Header{Key: "h", Value: make([]byte, 700)})
	expect(got)
	put(s, "c", "1", statestore.Header{Key: "h", Value: make([]byte, 700)})
	expect(got, "a=2< 0", "b=1< 1", "c=1< 1")

	s, got = open(3, 0)
	for i := range 1000 {
		put(s, fmt.Sprint(i), "1")
	}
	expect(got)
}
