package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/millrace-io/millrace/statestore"
)

// life is a kind of store beside its model, for a random life: changes, commits, aborts, restarts, and restores from the changelog.
type life[S statestore.Store, M any] struct {
	spec  statestore.Spec
	empty func() M
	clone func(M) M
	step  func(t testing.TB, r *rand.Rand, s S, m M)
	shown func(t testing.TB, s S) any // all that a store shows, to compare with want
	want  func(m M) any
	// unsorted says that the changelog is not in the order of keys.
	unsorted bool
	// views says what the committed state shows; nil: the store has no view.
	views func(t testing.TB, p []statestore.Partition) any
}

// lifeSteps is how many changes a life has: enough for some hundred commits, aborts and restarts.
const lifeSteps = 3000

func (l life[S, M]) run(t *testing.T, e statestore.Engine) {
	r := seed(t)
	p := partition(t, e, l.spec.StoreName(), 0)
	open := func() S {
		return openStore[S](t, l.spec, statestore.Backend{Partition: p, CacheBytes: []int{0, 2000, 1 << 20}[r.IntN(3)], WriteBack: r.IntN(2) == 0})
	}
	s, m := open(), l.empty()
	committed := l.clone(m)
	var records []logged
	compare := func(when string, s S, m M) {
		t.Helper()
		if have, want := l.shown(t, s), l.want(m); !reflect.DeepEqual(have, want) {
			t.Fatalf("%s the store shows\n%s\nwant\n%s", when, brief(have), brief(want))
		}
	}
	save := func() {
		records = append(records, l.commit(t, e, s)...)
		committed = l.clone(m)
	}
	for range lifeSteps {
		switch x := r.IntN(200); {
		case x < 190:
			l.step(t, r, s, m)
		case x < 196:
			save()
			compare("after a commit", s, m)
		case x < 198:
			s.Discard()
			m = l.clone(committed)
			compare("after an abort", s, m)
		default:
			save()
			check(t, s.Close())
			s = open()
			compare("opened again", s, m)
		}
	}
	save()
	compare("in the end", s, m)
	if l.views != nil {
		if have, want := l.views(t, []statestore.Partition{p}), l.want(m); !reflect.DeepEqual(have, want) {
			t.Fatalf("the committed view shows\n%s\nwant\n%s", brief(have), brief(want))
		}
	}
	cut := len(records) / 3
	for n, parts := range [][][]logged{{records}, {records[:cut], records[cut:]}} {
		q := partition(t, e, l.spec.StoreName(), int32(n+1))
		for _, part := range parts {
			restore(t, e, l.spec, q, part)
		}
		restored := openStore[S](t, l.spec, statestore.Backend{Partition: q, CacheBytes: 1 << 20})
		compare("restored", restored, m)
	}
}

// brief shows the beginning of something.
func brief(v any) string {
	text := fmt.Sprintf("%.40q", v)
	return text[:min(len(text), 3000)]
}

// commit takes a store through a whole commit and returns its changelog.
func (l life[S, M]) commit(t testing.TB, e statestore.Engine, s S) (records []logged) {
	t.Helper()
	if !l.unsorted {
		return commit(t, e, s)
	}
	check(t, s.Flush())
	check(t, s.Changelog(func(key, value []byte, timestamp int64) error {
		records = append(records, logged{string(key), string(value), value == nil, timestamp})
		return nil
	}))
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
