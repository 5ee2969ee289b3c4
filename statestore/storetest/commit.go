package storetest

import (
	"bytes"
	"testing"

	"github.com/millrace-io/millrace/statestore"
)

// logged is one changelog record, in memory of its own.
type logged struct {
	Key       string
	Value     string
	Deleted   bool
	Timestamp int64
}

// changelog collects what a store would send to its changelog, and checks that it is sorted.
func changelog(t testing.TB, s statestore.Store) (records []logged) {
	t.Helper()
	var last []byte
	check(t, s.Changelog(func(key, value []byte, timestamp int64) error {
		if len(records) > 0 && bytes.Compare(last, key) >= 0 {
			t.Errorf("changelog key %q comes after %q", key, last)
		}
		last = bytes.Clone(key)
		records = append(records, logged{string(key), string(value), value == nil, timestamp})
		return nil
	}))
	return records
}

// commit takes a store through a whole commit and returns its changelog.
func commit(t testing.TB, e statestore.Engine, s statestore.Store) []logged {
	t.Helper()
	check(t, s.Flush())
	records := changelog(t, s)
	b := e.NewBatch()
	check(t, s.Stage(b))
	check(t, b.Commit())
	check(t, b.Close())
	s.Committed()
	if n := s.StagedBytes(); n != 0 {
		t.Errorf("%d bytes are staged after a commit", n)
	}
	return records
}

// restore plays a changelog into a partition, with a commit every few records.
func restore(t testing.TB, e statestore.Engine, spec statestore.Spec, p statestore.Partition, records []logged) {
	t.Helper()
	r, err := spec.Restore(p)
	check(t, err)
	b := e.NewBatch()
	defer b.Close()
	for i, l := range records {
		key, value := []byte(l.Key), []byte(l.Value)
		if l.Deleted {
			value = nil
		}
		check(t, r.Add(b, key, value, l.Timestamp))
		mangle(key)
		mangle(value)
		if i%7 == 6 {
			check(t, r.Seal(b))
			check(t, b.Commit())
		}
	}
	check(t, r.Seal(b))
	check(t, b.Commit())
}

// openStore opens a store as a task would.
func openStore[S any](t testing.TB, spec statestore.Spec, b statestore.Backend) S {
	t.Helper()
	s, err := spec.Open(b)
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store %q: %v", s.StoreName(), err)
		}
	})
	typed, ok := s.(S)
	if !ok {
		t.Fatalf("store %q opens as %T", spec.StoreName(), s)
	}
	return typed
}
