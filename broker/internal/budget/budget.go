package budget

import (
	"context"
	"sync"
)

// Budget is a number of bytes. Make one with New.
type Budget struct {
	total int64

	mu sync.Mutex
	// The fields below are guarded by mu.
	free  int64
	queue []*waiter // first come, first served
}

type waiter struct {
	want  int64
	ready chan struct{}
}

// New returns a budget of n bytes.
func New(n int64) *Budget { return &Budget{total: n, free: n} }

// Total is the whole budget.
func (b *Budget) Total() int64 { return b.total }

// Free is what is left.
func (b *Budget) Free() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// TakeUpTo takes as much of n as there is, which may be nothing, and returns how much that was.
func (b *Budget) TakeUpTo(n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = max(min(n, b.free), 0)
	b.free -= n
	return n
}

// Take waits until n bytes are free and takes them. More than the whole budget counts as the whole.
func (b *Budget) Take(ctx context.Context, n int64) (taken int64, err error) {
	n = min(n, b.total)
	b.mu.Lock()
	if len(b.queue) == 0 && n <= b.free {
		b.free -= n
		b.mu.Unlock()
		return n, nil
	}
	w := &waiter{want: n, ready: make(chan struct{})}
	b.queue = append(b.queue, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range b.queue {
		if q == w {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			b.serve() // those behind may want less
			return 0, ctx.Err()
		}
	}
	return n, nil // it was served just now
}

// Give returns bytes that were taken.
func (b *Budget) Give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.serve()
}

// serve wakes those whose turn it is. mu is held.
func (b *Budget) serve() {
	for len(b.queue) > 0 && b.queue[0].want <= b.free {
		b.free -= b.queue[0].want
		close(b.queue[0].ready)
		b.queue = b.queue[1:]
	}
}
