package replica

// Waiter is woken when something happens in one of the partitions that it watches: records were committed, a transaction ended, the log start moved,
// the partition went away. One goroutine uses it.
type Waiter struct {
	ch       chan struct{}
	watching []*Partition
}

// NewWaiter returns a waiter that watches nothing.
func NewWaiter() *Waiter { return &Waiter{ch: make(chan struct{}, 1)} }

// C receives after something happened. Several events may be one receive.
func (w *Waiter) C() <-chan struct{} { return w.ch }

// Watch adds a partition.
func (w *Waiter) Watch(p *Partition) {
	p.mu.Lock()
	if p.waiters == nil {
		p.waiters = map[*Waiter]struct{}{}
	}
	p.waiters[w] = struct{}{}
	p.mu.Unlock()
	w.watching = append(w.watching, p)
}

// Close ends the watching.
func (w *Waiter) Close() {
	for _, p := range w.watching {
		p.mu.Lock()
		delete(p.waiters, w)
		p.mu.Unlock()
	}
	w.watching = nil
}

// wake tells everybody who waits for the partition to look again.
func (p *Partition) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.committed != nil {
		close(p.committed)
		p.committed = nil
	}
	for w := range p.waiters {
		select {
		case w.ch <- struct{}{}:
		default: // it is to look again already
		}
	}
}
