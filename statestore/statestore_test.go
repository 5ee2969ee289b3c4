package statestore_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream/serde"
)

func TestOptionsChangeACopy(t *testing.T) {
	kv := statestore.KeyValue("kv", serde.String, serde.Int64)
	all := kv.InMemory().WithoutChangelog().WithoutCache().ChangelogConfig("segment.ms", "1000").ChangelogConfig("cleanup.policy", "delete")
	if kv.IsInMemory() || !kv.Cached() || !reflect.DeepEqual(kv.Changelog(), statestore.Changelog{Enabled: true, Config: map[string]string{"cleanup.policy": "compact"}}) {
		t.Errorf("the options changed the spec that they were called on: %+v", kv.Changelog())
	}
	want := statestore.Changelog{Config: map[string]string{"cleanup.policy": "delete", "segment.ms": "1000"}}
	if !all.IsInMemory() || all.Cached() || !reflect.DeepEqual(all.Changelog(), want) {
		t.Errorf("in memory %v, cached %v, changelog %+v, want %+v", all.IsInMemory(), all.Cached(), all.Changelog(), want)
	}
	if all.StoreName() != "kv" || all.KeySerde() != serde.String || all.ValueSerde() != serde.Int64 {
		t.Error("the options lost name or serdes")
	}

	w := statestore.Window("w", serde.String, serde.Int64)
	kept := w.Retain(time.Hour).InMemory().WithoutCache().ChangelogConfig("a", "b")
	if w.Retention() != 0 || w.IsInMemory() || !w.Cached() {
		t.Error("the options changed the spec that they were called on")
	}
	want = statestore.Changelog{Enabled: true, Config: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "90000000", "a": "b"}}
	if !reflect.DeepEqual(kept.Changelog(), want) {
		t.Errorf("changelog %+v, want %+v", kept.Changelog(), want)
	}
	if kept.WithoutChangelog().Changelog().Enabled {
		t.Error("WithoutChangelog leaves the changelog on")
	}
}

func openKV[K, V any](t testing.TB, spec *statestore.KeyValueSpec[K, V], writeBack bool) (statestore.KeyValueStore[K, V], statestore.Partition) {
	t.Helper()
	e := memstore.New()
	p, err := e.Partition(spec.StoreName(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Open(statestore.Backend{Partition: p, CacheBytes: 1 << 20, WriteBack: writeBack})
	if err != nil {
		t.Fatal(err)
	}
	return s.(statestore.KeyValueStore[K, V]), p
}

// TestCountAllocatesNothing guards the hottest path of all: get and put of a cached key.
func TestCountAllocatesNothing(t *testing.T) {
	for _, writeBack := range []bool{false, true} {
		s, _ := openKV(t, statestore.KeyValue("counts", serde.String, serde.Int64), writeBack)
		s.OnFlush(true, func(*statestore.Update[string, int64]) error { return nil })
		var failed error
		count := func() {
			n, _, err := s.Get("word")
			failed = errors.Join(failed, err, s.Put("word", n+1, 1))
		}
		if n := testing.AllocsPerRun(1000, count); n != 0 || failed != nil {
			t.Errorf("writeBack=%v: a count makes %v allocations, %v", writeBack, n, failed)
		}
		if n, _, _ := s.Get("word"); n != 1001 {
			t.Errorf("counted %d, want 1001", n)
		}
	}
}

func TestWindowCountAllocatesNothing(t *testing.T) {
	spec := statestore.Window("counts", serde.Int64, serde.Int64).Retain(time.Hour)
	p, err := memstore.New().Partition("counts", 0)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := spec.Open(statestore.Backend{Partition: p, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(statestore.WindowStore[int64, int64])
	var failed error
	n := testing.AllocsPerRun(1000, func() {
		n, _, err := s.Fetch(7, 10_000)
		_, err2 := s.Put(7, 10_000, n+1, 10_001)
		failed = errors.Join(failed, err, err2)
	})
	if n != 0 || failed != nil {
		t.Errorf("a count in a window makes %v allocations, %v", n, failed)
	}
}

func TestNullValueDeletes(t *testing.T) {
	s, _ := openKV(t, statestore.KeyValue("kv", serde.String, serde.Nullable(serde.Int64)), false)
	one := int64(1)
	for _, v := range []*int64{&one, nil} {
		if err := s.Put("a", v, 1); err != nil {
			t.Fatal(err)
		}
		got, found, err := s.Get("a")
		if found != (v != nil) || err != nil || v != nil && *got != *v {
			t.Errorf("after the put of %v: %v, %v, %v", v, got, found, err)
		}
	}
}

// broken is a serde that fails.
type broken struct{ serde.Serde[string] }

var errBroken = errors.New("broken on purpose")

func (broken) Append(dst []byte, v string) ([]byte, error) { return dst, errBroken }
func (broken) Decode(b []byte) (string, error)             { return "", errBroken }

func TestErrorsNameTheStore(t *testing.T) {
	badKey, _ := openKV(t, statestore.KeyValue[string, string]("bad keys", broken{}, serde.String), false)
	badValue, p := openKV(t, statestore.KeyValue[string, string]("bad values", serde.String, broken{}), false)
	good, _ := statestore.KeyValue("bad values", serde.String, serde.String).Open(statestore.Backend{Partition: p})
	writer := good.(statestore.KeyValueStore[string, string])
	e := memstore.New()
	damaged, _ := e.Partition("damaged", 0)
	b := e.NewBatch()
	if err := errors.Join(b.Set(damaged, []byte("a"), []byte("short")), b.Commit()); err != nil {
		t.Fatal(err)
	}
	short, _ := statestore.KeyValue("damaged", serde.String, serde.String).Open(statestore.Backend{Partition: damaged})
	_, _, keyErr := badKey.Get("a")
	_, _, shortErr := short.(statestore.KeyValueStore[string, string]).Get("a")
	for _, test := range []struct {
		err   error
		store string
	}{
		{keyErr, "bad keys"}, {badKey.Put("a", "b", 1), "bad keys"}, {badKey.Delete("a", 1), "bad keys"}, {badValue.Put("a", "b", 1), "bad values"}, {shortErr, "damaged"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), fmt.Sprintf("store %q", test.store)) {
			t.Errorf("error %v does not name the store %q", test.err, test.store)
		}
		if test.store != "damaged" && !errors.Is(test.err, errBroken) {
			t.Errorf("error %v hides its cause", test.err)
		}
	}
	for _, err := range badKey.Range(statestore.AtLeast("a")) {
		if !errors.Is(err, errBroken) {
			t.Errorf("a range with an undecodable bound: %v", err)
		}
	}
	if n := badValue.StagedBytes(); n != 0 {
		t.Errorf("a put that failed stages %d bytes", n)
	}
	if err := writer.Put("a", "b", 1); err != nil {
		t.Fatal(err)
	}
	walked := 0
	for range writer.All() {
		walked++
	}
	if walked != 1 {
		t.Errorf("a walk found %d entries, want 1", walked)
	}
}

func TestRestoreRefusesForeignChangelog(t *testing.T) {
	e := memstore.New()
	p, _ := e.Partition("w", 0)
	r, err := statestore.Window("w", serde.String, serde.String).Retain(time.Hour).Restore(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "short", "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"} {
		if err := r.Add(e.NewBatch(), []byte(key), nil, 0); err == nil || !strings.Contains(err.Error(), `store "w"`) {
			t.Errorf("a record with key %q: %v, want an error that names the store", key, err)
		}
	}
}

func TestDamagedMetadataIsReported(t *testing.T) {
	for _, metadata := range []string{"", "\x03", strings.Repeat("\x02", 29), "\x02" + strings.Repeat("\x00", 28), strings.Repeat("\x01", 29), strings.Repeat("\x02", 28)} {
		e := memstore.New()
		p, _ := e.Partition("w", 0)
		b := e.NewBatch()
		// The third one is a valid version 2 with absurd but positive numbers, which must open.
		valid := metadata == strings.Repeat("\x02", 29)
		if err := errors.Join(b.Set(p, nil, []byte(metadata)), b.Commit()); err != nil {
			t.Fatal(err)
		}
		spec := statestore.Window("w", serde.String, serde.String).Retain(time.Hour)
		_, openErr := spec.Open(statestore.Backend{Partition: p})
		_, restoreErr := spec.Restore(p)
		_, _, viewErr := spec.View([]statestore.Partition{p}).Fetch("a", 1)
		for _, err := range []error{openErr, restoreErr, viewErr} {
			if (err == nil) != valid || err != nil && !strings.Contains(err.Error(), `store "w": read the metadata`) {
				t.Errorf("metadata %x: %v", metadata, err)
			}
		}
	}
}

// TestRetentionMayChange opens a store that has data with another retention than it was filled with.
func TestRetentionMayChange(t *testing.T) {
	e := memstore.New()
	p, _ := e.Partition("w", 0)
	spec := statestore.Window("w", serde.String, serde.Int64)
	var at int64
	for _, retention := range []time.Duration{time.Hour, 2 * time.Minute, 24 * time.Hour} {
		opened, err := spec.Retain(retention).Open(statestore.Backend{Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		s := opened.(statestore.WindowStore[string, int64])
		for range 300 {
			at += time.Minute.Milliseconds()
			if _, err := s.Put("a", at, at, at); err != nil {
				t.Fatal(err)
			}
		}
		b := e.NewBatch()
		if err := errors.Join(s.Stage(b), b.Commit()); err != nil {
			t.Fatal(err)
		}
		s.Committed()
		n := 0
		for w, err := range s.FetchRange("a", 0, at+1) {
			if err != nil || w.Value != w.Start || w.Start <= at-retention.Milliseconds() {
				t.Fatalf("retention %v: window %+v, %v", retention, w, err)
			}
			n++
		}
		// A longer retention shows again what the shorter one hid, as far as its segment is still there: half an hour, from the first retention.
		if least, most := min(int(retention/time.Minute), 302), min(int(retention/time.Minute), 302+60); n < least || n > most {
			t.Errorf("retention %v: %d windows, want %d to %d", retention, n, least, most)
		}
	}
}

func TestViewSpansPartitions(t *testing.T) {
	e := memstore.New()
	spec := statestore.KeyValue("kv", serde.String, serde.String)
	var parts []statestore.Partition
	for n := range int32(3) {
		p, _ := e.Partition("kv", n)
		parts = append(parts, p)
		r, _ := spec.Restore(p)
		b := e.NewBatch()
		for k := range 2 {
			if err := r.Add(b, fmt.Appendf(nil, "%d-%d", n, k), []byte("v"), int64(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(r.Seal(b), b.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	view := spec.View(parts)
	if v, ts, found, err := view.GetWithTime("2-1"); v != "v" || ts != 2 || !found || err != nil {
		t.Errorf("a key of the last partition: %q@%d, %v, %v", v, ts, found, err)
	}
	if _, found, err := view.Get("absent"); found || err != nil {
		t.Errorf("an absent key: %v, %v", found, err)
	}
	var keys []string
	for e, err := range view.Range(statestore.Between("0-1", "2-0").Inclusive()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	if want := []string{"0-1", "1-0", "1-1", "2-0"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("a range over all partitions: %q, want %q", keys, want)
	}
	for range view.All() {
		break // a walk may end early
	}
}

func ExampleKeyValue() {
	counts := statestore.KeyValue("counts", serde.String, serde.Int64)
	p, _ := memstore.New().Partition(counts.StoreName(), 0)
	opened, _ := counts.Open(statestore.Backend{Partition: p})
	store := opened.(statestore.KeyValueStore[string, int64])
	for i, word := range strings.Fields("to be or not to be") {
		n, _, _ := store.Get(word)
		_ = store.Put(word, n+1, int64(i))
	}
	for e, err := range store.Range(statestore.Between("a", "o").Backwards()) {
		fmt.Println(e.Key, e.Value, e.Timestamp, err)
	}
	// Output:
	// not 1 3 <nil>
	// be 2 5 <nil>
}
