package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// crashKind is a kind of store for the crash tests, with what changes it at a time: mostly a little after what came before, sometimes late.
type crashKind struct {
	name   string
	spec   statestore.Spec
	change func(r *rand.Rand, s statestore.Store, at int64) error
	// visible lists what the store shows at a time. Nil: two stores are compared by their bytes. Stores that take out what nobody can see any more do so when they like.
	visible func(t *testing.T, s statestore.Store, now int64) []string
}

// crashKeep is how long the stores of the crash tests keep what has a time, crashKeys how many keys they have.
const (
	crashKeep = 100 * time.Millisecond
	crashKeys = 20
)

func crashKinds() []crashKind {
	key := func(r *rand.Rand) string { return fmt.Sprint("k", r.IntN(crashKeys)) }
	return []crashKind{
		{"Expiring", statestore.KeyValue("s", serde.String, serde.Int64).ExpireAfter(crashKeep), func(r *rand.Rand, s statestore.Store, at int64) error {
			kv := s.(statestore.KeyValueStore[string, int64])
			if r.IntN(5) == 0 {
				return kv.Delete(key(r), at)
			}
			return kv.Put(key(r), r.Int64(), at)
		}, func(t *testing.T, s statestore.Store, _ int64) (all []string) {
			for e, err := range s.(statestore.KeyValueStore[string, int64]).All() {
				check(t, err)
				all = append(all, fmt.Sprint(e))
			}
			return all
		}},
		{"Window", statestore.Window("s", serde.String, serde.Int64).Retain(crashKeep), func(r *rand.Rand, s statestore.Store, at int64) error {
			w := s.(statestore.WindowStore[string, int64])
			if r.IntN(5) == 0 {
				_, err := w.Delete(key(r), at/10*10, at)
				return err
			}
			_, err := w.Put(key(r), at/10*10, r.Int64(), at)
			return err
		}, nil},
		{"JoinWindow", statestore.JoinWindow("s", serde.String, serde.Int64).Retain(crashKeep), func(r *rand.Rand, s statestore.Store, at int64) error {
			_, err := s.(statestore.JoinWindowStore[string, int64]).Put(key(r), at/3*3, r.Int64()) // records of equal key and time
			return err
		}, nil},
		{"Session", statestore.Session("s", serde.String, serde.Int64).Retain(crashKeep), func(r *rand.Rand, s statestore.Store, at int64) error {
			st := s.(statestore.SessionStore[string, int64])
			if r.IntN(4) == 0 {
				_, err := st.Remove(key(r), at/10*10, at, at)
				return err
			}
			_, err := st.Put(key(r), at/10*10, at, r.Int64(), at)
			return err
		}, nil},
		{"Versioned", statestore.Versioned("s", serde.String, serde.Int64, crashKeep), func(r *rand.Rand, s statestore.Store, at int64) (err error) {
			v := s.(statestore.VersionedStore[string, int64])
			if r.IntN(5) == 0 {
				_, err = v.Delete(key(r), at)
			} else {
				_, err = v.Put(key(r), r.Int64(), at)
			}
			return err
		}, func(t *testing.T, s statestore.Store, now int64) (all []string) {
			for k := range crashKeys {
				for asOf := now - crashKeep.Milliseconds(); asOf <= now; asOf++ {
					v, ts, found, err := s.(statestore.VersionedStore[string, int64]).GetAsOf(fmt.Sprint("k", k), asOf)
					check(t, err)
					all = append(all, fmt.Sprint(k, asOf, v, ts, found))
				}
			}
			return all
		}},
		{"Buffer", statestore.Buffer("s", serde.String, serde.Int64), func(r *rand.Rand, s statestore.Store, at int64) error {
			b := s.(statestore.BufferStore[string, int64])
			if r.IntN(4) == 0 {
				_, _, err := b.Pop(at)
				return err
			}
			change := statestore.Buffered[int64]{Old: r.Int64(), New: r.Int64(), HasOld: r.IntN(2) == 0, HasNew: r.IntN(4) > 0}
			return b.Put(at, key(r), change, &statestore.RecordContext{Timestamp: at, Topic: "in", Offset: at})
		}, nil},
		{"GraceBuffer", statestore.GraceBuffer("s", serde.String, serde.Int64), func(r *rand.Rand, s statestore.Store, at int64) error {
			g := s.(statestore.GraceBufferStore[string, int64])
			if r.IntN(4) == 0 {
				_, _, err := g.Pop(at-5, at)
				return err
			}
			return g.Add(key(r), r.Int64(), &statestore.RecordContext{Timestamp: at, Topic: "in", Offset: at, Headers: []statestore.Header{{Key: "h"}}})
		}, nil},
		{"Unmatched", statestore.Unmatched("s", serde.String, serde.Int64, serde.Int64), func(r *rand.Rand, s statestore.Store, at int64) error {
			u := s.(statestore.UnmatchedStore[string, int64, int64])
			switch r.IntN(4) {
			case 0:
				return u.AddLeft(key(r), at, r.Int64())
			case 1:
				return u.AddRight(key(r), at, r.Int64())
			case 2:
				_, err := u.Delete(statestore.Left, key(r), at, at)
				return err
			}
			_, err := u.Delete(statestore.Right, key(r), at, at)
			return err
		}, nil},
	}
}

// content lists what a partition holds.
func content(t *testing.T, k crashKind, p statestore.Partition, now int64) (all []string) {
	t.Helper()
	if k.visible == nil {
		for _, e := range scan(t, p, nil, nil, false) {
			all = append(all, fmt.Sprintf("%q=%q", e.Key, e.Value))
		}
		return all
	}
	s, err := k.spec.Open(statestore.Backend{Partition: p, CacheBytes: 1000, StreamTime: func() int64 { return now }})
	check(t, err)
	defer s.Close()
	return k.visible(t, s, now)
}

// firstDifference shows where two lists part.
func firstDifference(have, want []string) string {
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			return fmt.Sprintf("at %d\nhave %s\nwant %s", i, have[i], want[i])
		}
	}
	return fmt.Sprintf("have %q\nwant %q", have, want)
}

// testKindCrash crashes a store again and again at random moments. What the engine has then, made complete by the changelog's tail, must be what the whole changelog
// gives: C1, C2 and C5.
func testKindCrash(t *testing.T, r *rand.Rand, k crashKind, m Medium) {
	var log []logged // the changelog; its length is the checkpoint
	now := int64(1000)
	streamTime := func() int64 { return now }
	for round := range 4 {
		e := m.Open(t)
		p, fresh := partition(t, e, "s", 0), partition(t, e, "fresh", int32(round))
		at := 0
		c, err := p.Checkpoint()
		check(t, err)
		if c != nil {
			if _, err := fmt.Sscan(string(c), &at); err != nil || at > len(log) { // C4
				t.Fatalf("checkpoint %q of a changelog of %d records", c, len(log))
			}
		}
		restore(t, e, k.spec, p, log[at:])
		restore(t, e, k.spec, fresh, log)
		if have, want := content(t, k, p, now), content(t, k, fresh, now); !slices.Equal(have, want) {
			t.Fatalf("round %d: from record %d of %d on the store has %d entries, from the first on %d\n%s", round, at, len(log), len(have), len(want), firstDifference(have, want))
		}
		s := openStore[statestore.Store](t, k.spec, statestore.Backend{Partition: p, CacheBytes: r.IntN(3000), StreamTime: streamTime})
		b := e.NewBatch()
		for range r.IntN(30) {
			for range r.IntN(30) {
				now += r.Int64N(4)
				check(t, k.change(r, s, max(0, now-r.Int64N(20)*r.Int64N(2))))
			}
			check(t, s.Changelog(func(key, value []byte, timestamp int64) error { // by time in some, by key in most
				log = append(log, logged{string(key), string(value), value == nil, timestamp})
				return nil
			}))
			check(t, s.Stage(b))
			check(t, b.SetCheckpoint(p, fmt.Append(nil, len(log))))
			check(t, b.Commit())
			s.Committed()
			if r.IntN(10) == 0 {
				check(t, e.Flush())
			}
		}
		check(t, k.change(r, s, now)) // never committed
		after := m.Crash(r)
		check(t, b.Close())
		check(t, s.Close())
		check(t, p.Close())
		check(t, fresh.Close())
		check(t, e.Close())
		m = after
	}
}
