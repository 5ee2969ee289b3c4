package statestore_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream/serde"
)

// committed opens the only partition of a store, fills it, and returns it with the changes committed.
func committed[S any](t *testing.T, spec interface {
	statestore.Spec
	Of(statestore.Store) S
}, fill func(S) error) []statestore.Partition {
	t.Helper()
	e := memstore.New()
	p, err := e.Partition(spec.StoreName(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Open(statestore.Backend{Partition: p})
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	if err := errors.Join(fill(spec.Of(s)), s.Stage(b), b.Commit()); err != nil {
		t.Fatal(err)
	}
	s.Committed()
	return []statestore.Partition{p}
}

// walked lists what a walk finds.
func walked[E any](t *testing.T, walk iter.Seq2[E, error], show func(E) string) (all []string) {
	t.Helper()
	for e, err := range walk {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, show(e))
	}
	return all
}

// TestViewsWalkByTimeBothWays over all keys of windows and sessions.
func TestViewsWalkByTimeBothWays(t *testing.T) {
	windows := statestore.Window("w", serde.String, serde.Int64).Retain(time.Second)
	wv := windows.View(committed(t, windows, func(s statestore.WindowStore[string, int64]) (err error) {
		for i, k := range []string{"b", "a", "c", "a"} {
			_, put := s.Put(k, int64(10*i), 1, int64(10*i))
			err = errors.Join(err, put)
		}
		return err
	}))
	show := func(e statestore.WindowEntry[string, int64]) string { return fmt.Sprint(e.Key, e.Start) }
	want := []string{"a10", "a30", "c20"}
	if have := walked(t, wv.FetchAll(10, 40), show); !slices.Equal(have, want) {
		t.Errorf("windows in [10, 40): %v, want %v", have, want)
	}
	slices.Reverse(want)
	if have := walked(t, wv.FetchAllBackwards(10, 40), show); !slices.Equal(have, want) {
		t.Errorf("windows in [10, 40) backwards: %v, want %v", have, want)
	}

	sessions := statestore.Session("s", serde.String, serde.Int64).Retain(time.Second)
	sv := sessions.View(committed(t, sessions, func(s statestore.SessionStore[string, int64]) (err error) {
		for i, k := range []string{"b", "a", "c", "a"} {
			_, put := s.Put(k, int64(10*i), int64(10*i+5), 1, int64(10*i))
			err = errors.Join(err, put)
		}
		return err
	}))
	showSession := func(e statestore.SessionEntry[string, int64]) string { return fmt.Sprint(e.Key, e.End) }
	want = []string{"a15", "a35", "c25"}
	if have := walked(t, sv.FetchAll(15, 35), showSession); !slices.Equal(have, want) {
		t.Errorf("sessions that end in [15, 35]: %v, want %v", have, want)
	}
	slices.Reverse(want)
	if have := walked(t, sv.FetchAllBackwards(15, 35), showSession); !slices.Equal(have, want) {
		t.Errorf("sessions that end in [15, 35] backwards: %v, want %v", have, want)
	}
}
