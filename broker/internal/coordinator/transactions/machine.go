package transactions

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// machine is one incarnation of a shard's state, with who waits for it and what settles its debts.
type machine struct {
	*txn.Coordinator // under the shard's lock

	c         *Coordinator
	partition int32
	epoch     int32
	ctx       context.Context // ends with the incarnation
	cancel    context.CancelFunc
	settling  sync.WaitGroup           // added to under c.mu, while ctx lives
	ends      map[string]chan struct{} // under the shard's lock; closed when the transaction of the id has its markers
}

func (c *Coordinator) newMachine(partition, epoch int32) *machine {
	m := &machine{c: c, partition: partition, epoch: epoch, ends: make(map[string]chan struct{})}
	m.Coordinator = txn.New(txn.Config{
		MaxTimeout:    c.cfg.MaxTimeout,
		IDExpiration:  c.cfg.IDExpiration,
		AbortInterval: c.cfg.AbortInterval, ExpireInterval: c.cfg.ExpireInterval,
		NewProducerID: c.ids.take,
	})
	m.ctx, m.cancel = context.WithCancel(context.Background())
	c.replace(partition, m)
	return m
}

// replace ends the incarnation before next, which may be none, and waits until it writes no marker any more: under
// protocol 1 a late one would end the next transaction.
func (c *Coordinator) replace(partition int32, next *machine) {
	c.mu.Lock()
	old := c.mu.latest[partition]
	delete(c.mu.latest, partition)
	if next != nil {
		c.mu.latest[partition] = next
	}
	if old != nil {
		old.cancel()
	}
	c.mu.Unlock()
	if old != nil {
		old.settling.Wait()
	}
}

// Loaded begins to settle what the leader before left open.
func (m *machine) Loaded(now time.Time) {
	m.Coordinator.Loaded(now)
	if newer, err := m.Unreadable(); err != nil || newer > 0 {
		m.c.cfg.Log.Error("records of transactions could not be read",
			"topic", Topic, "partition", m.partition, "newer", newer, "error", err)
	}
	for _, d := range m.Debts() {
		m.settle(d)
	}
}

// take applies and writes what a step came to; what it ends is settled when that is committed.
func (m *machine) take(step txn.Step, w *coordinator.Writer) { m.takeFor(step, w, (*machine).settle) }

// takeFor is take with another way to settle.
func (m *machine) takeFor(step txn.Step, w *coordinator.Writer, settle func(*machine, txn.Markers)) {
	for _, ch := range step.Changes {
		m.ApplyChange(ch)
		w.Append(ch.Record())
	}
	for _, ch := range step.Changes {
		if d, owed := m.Debt(ch.ID); owed {
			w.After(func() { settle(m, d) })
		} else {
			m.wake(ch.ID)
		}
	}
}

// endOf is closed when the transaction that id has in Prepare is complete.
func (m *machine) endOf(id string) <-chan struct{} {
	ch := m.ends[id]
	if ch == nil {
		ch = make(chan struct{})
		m.ends[id] = ch
	}
	return ch
}

func (m *machine) wake(id string) {
	if ch := m.ends[id]; ch != nil {
		close(ch)
		delete(m.ends, id)
	}
}
