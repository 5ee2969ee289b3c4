package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestNobodyTakesMoreThanThereIs(t *testing.T) {
	const total = 1000
	b := New(total)
	var held atomic.Int64
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(worker, 1))
			for range 500 {
				n, err := b.Take(context.Background(), r.Int64N(400))
				if err != nil {
					t.Error(err)
				}
				n += b.TakeUpTo(r.Int64N(400))
				if h := held.Add(n); h > total {
					t.Errorf("%d of %d bytes are taken", h, total)
				}
				held.Add(-n)
				b.Give(n)
			}
		})
	}
	wg.Wait()
	if b.Free() != total {
		t.Errorf("%d of %d bytes came back", b.Free(), total)
	}
}

func TestWhoCameFirstIsServedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		b.TakeUpTo(10)
		var mu sync.Mutex
		var order []int64
		for _, n := range []int64{8, 1, 50} {
			go func() {
				taken, err := b.Take(context.Background(), n)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, taken)
				mu.Unlock()
				b.Give(taken)
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := b.Take(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a wait that was given up returned %v", err)
		}
		b.Give(10)
		synctest.Wait()
		if len(order) != 3 || order[2] != 10 || b.Free() != 10 {
			t.Errorf("served %v, %d free; want three, the one that wanted more than all last", order, b.Free())
		}
	})
}
