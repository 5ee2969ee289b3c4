package storetest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/statestore"
)

func testEngineEqualsModel(t *testing.T, e statestore.Engine) {
	r := seed(t)
	w := newWriter(t, e)
	var parts []statestore.Partition
	var models []*model
	for n := range 3 {
		parts = append(parts, partition(t, e, "s", int32(n)))
		models = append(models, newModel())
	}
	for range 300 {
		for range 1 + r.IntN(40) {
			n := r.IntN(len(parts))
			p, m := parts[n], models[n]
			switch x := r.IntN(100); {
			case x < 60:
				k, v := randomKey(r), randomValue(r)
				w.set(p, k, v)
				m.entries[k] = v
			case x < 90:
				k := randomKey(r)
				w.delete(p, k)
				delete(m.entries, k)
			case x < 93:
				lo, hi := randomBound(r), randomBound(r)
				w.deleteRange(p, lo, hi)
				m.deleteRange(lo, hi)
			default:
				c := randomValue(r)
				w.checkpoint(p, c)
				m.checkpoint = &c
			}
		}
		w.commit()
		n := r.IntN(len(parts))
		compare(t, parts[n], models[n], randomBound(r), randomBound(r), r.IntN(2) == 0)
		k := randomKey(r)
		v, found := get(t, parts[n], k)
		if want, ok := models[n].entries[k]; v != want || found != ok {
			t.Fatalf("get of %q: %q, %v, want %q, %v", k, v, found, want, ok)
		}
		if r.IntN(30) == 0 {
			check(t, e.Flush())
		}
	}
	for n := range parts {
		compare(t, parts[n], models[n], nil, nil, false)
		compare(t, parts[n], models[n], nil, nil, true)
	}
}

func compare(t testing.TB, p statestore.Partition, m *model, lo, hi *string, reverse bool) {
	t.Helper()
	if got, want := scan(t, p, lo, hi, reverse), m.scan(lo, hi, reverse); !reflect.DeepEqual(got, want) {
		t.Fatalf("scan of [%q, %q) reverse=%v: %.200q, want %.200q", bound(lo), bound(hi), reverse, got, want)
	}
	c, err := p.Checkpoint()
	check(t, err)
	if (c == nil) != (m.checkpoint == nil) || c != nil && string(c) != *m.checkpoint {
		t.Fatalf("checkpoint %.50q, want %v", c, m.checkpoint)
	}
}

// testReadersSeeWholeBatches lets readers walk while a writer commits batches that set all keys to one value.
func testReadersSeeWholeBatches(t *testing.T, e statestore.Engine) {
	p, w := partition(t, e, "s", 0), newWriter(t, e)
	round := func(i int) {
		for k := range 50 {
			w.set(p, fmt.Sprintf("%02d", k), fmt.Sprint(i))
		}
		w.commit()
	}
	round(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				it, err := p.Scan(nil, nil, false)
				if err != nil {
					t.Error(err)
					return
				}
				values := make(map[string]int)
				for it.Next() {
					values[string(it.Value())]++
				}
				if err := it.Close(); err != nil || len(values) != 1 {
					t.Errorf("a walk during commits saw %v, %v, want 50 of one value", values, err)
					return
				}
			}
		})
	}
	for i := range 200 {
		round(i + 1)
	}
	close(done)
	wg.Wait()
}
