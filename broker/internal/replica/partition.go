package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/partition"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/internal/record"
)

// Partition is one partition that this broker holds. It is safe for concurrent use.
type Partition struct {
	Topic   string
	TopicID controller.TopicID
	Number  int32

	m      *Manager
	dir    string               // name of its directory, within the manager's
	log    *commitlog.Log       // nil when it could not be opened
	point  commitlog.Checkpoint // as it was at the opening
	failed atomic.Pointer[error]

	diskFailed atomic.Bool // a failure of the disk was logged

	config atomic.Pointer[settings.Topic]

	traffic traffic

	begun, ended atomic.Int64 // appends, each until the state knows of it

	uncleanable time.Time // until when the cleaner leaves it alone after a failure; owned by the cleaner's goroutine

	flushMu sync.Mutex // one flush at a time; who waits for it finds the work done

	mu sync.Mutex
	// The fields below are guarded by mu.
	state     *partition.State
	closed    bool
	waiters   map[*Waiter]struct{}
	committed chan struct{} // closed and replaced when the high watermark rises and somebody waits for it
	appended  time.Time     // first append since the last flush; zero when there was none
	sinceSync int64         // records appended since the last flush
}

// Config is the effective configuration of the partition's topic.
func (p *Partition) Config() *settings.Topic { return p.config.Load() }

// check returns why the partition cannot be used, or nil.
func (p *Partition) check() error {
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return p.m.Err()
}

// Err returns why the partition is offline; nil when it is not.
func (p *Partition) Err() error { return p.check() }

// fail takes the partition offline.
func (p *Partition) fail(err error) error {
	err = fmt.Errorf("%w: %s-%d: %w", ErrOffline, p.Topic, p.Number, err)
	if p.failed.CompareAndSwap(nil, &err) {
		p.m.cfg.Log.Error("partition is offline", "topic", p.Topic, "partition", p.Number, "error", err)
		p.wake()
	}
	return err
}

// judge sorts an error of the log. Damage of its own takes the partition offline; a write or flush that failed takes the whole directory, for the disk may have dropped
// what other logs wrote.
func (p *Partition) judge(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrCorrupt), errors.Is(err, commitlog.ErrOffline) && isOwnDamage(err):
		return p.fail(err)
	case errors.Is(err, commitlog.ErrOffline):
		return p.m.Fail(fmt.Errorf("%s-%d: %w", p.Topic, p.Number, err))
	}
	if errors.Is(err, commitlog.ErrClosed) {
		return ErrClosed
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) && !errors.Is(err, commitlog.ErrNoSpace) {
		if !p.diskFailed.Swap(true) {
			p.m.cfg.Log.Error("the disk fails; it is said once for this partition", "topic", p.Topic, "partition", p.Number, "error", err)
		}
		return fmt.Errorf("%w: %s-%d: %w", ErrDisk, p.Topic, p.Number, err)
	}
	return err
}

// Offsets returns the four ends of the partition.
func (p *Partition) Offsets() partition.Offsets {
	if p.log == nil {
		return partition.Offsets{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsets()
}

// offsets is called with mu held.
func (p *Partition) offsets() partition.Offsets {
	return p.state.Offsets(p.log.LastStable(p.state.HighWatermark()))
}

// LeaderEpoch is the epoch in which this broker leads the partition.
func (p *Partition) LeaderEpoch() int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int32(p.state.Epoch())
}

// CheckEpoch compares the leader epoch that a client knows, -1 being none, with the partition's.
func (p *Partition) CheckEpoch(known int32) error {
	epoch := p.LeaderEpoch()
	switch {
	case known < 0 || known == epoch:
		return nil
	case known < epoch:
		return fmt.Errorf("%w: %s-%d is in epoch %d, the request in %d", ErrFencedEpoch, p.Topic, p.Number, epoch, known)
	default:
		return fmt.Errorf("%w: %s-%d is in epoch %d, the request in %d", ErrUnknownEpoch, p.Topic, p.Number, epoch, known)
	}
}

// Log gives read access to what only the log knows: look-ups by time and epoch, producers, sizes. Nil when the partition is offline since its opening.
func (p *Partition) Log() *commitlog.Log { return p.log }

// Size is the number of bytes of the log; 0 when it could not be opened.
func (p *Partition) Size() int64 {
	if p.log == nil {
		return 0
	}
	return p.log.Size()
}

// Measure returns Size, and whether all of it is known to the partition's state: no append was between its write to the log and its place in Offsets.
func (p *Partition) Measure() (size int64, settled bool) {
	begun := p.begun.Load()
	settled = p.ended.Load() == begun
	size = p.Size()
	return size, settled && p.begun.Load() == begun
}

// lead makes this broker the partition's leader, as the metadata says.
func (p *Partition) lead(meta *controller.Partition, minISR int) error {
	if p.log == nil {
		return p.check()
	}
	epoch := record.LeaderEpoch(meta.LeaderEpoch)
	if p.log.End() > 0 {
		if err := p.log.AssignEpoch(epoch, p.log.End()); err != nil {
			return p.judge(err)
		}
	}
	p.mu.Lock()
	p.state.Lead(epoch, meta.ISR, len(meta.Replicas), minISR)
	p.mu.Unlock()
	end := p.log.End()
	if p.m.cfg.Flush == FlushAlways {
		// What a kill left in the page cache is shown to readers only when it cannot be lost any more.
		return p.flush(end)
	}
	p.persisted(end)
	return nil
}

// Append writes batches to the log. They are visible to readers and safe when Commit returns. The batches are changed in place (offsets, epoch) and
// not kept.
func (p *Partition) Append(batches []byte, o commitlog.AppendOptions) (commitlog.AppendInfo, error) {
	epoch, err := p.appendEpoch()
	if err != nil {
		return commitlog.AppendInfo{}, err
	}
	if err := p.admit(&o); err != nil {
		return commitlog.AppendInfo{}, err
	}
	o.LeaderEpoch = epoch
	if o.Now.IsZero() {
		o.Now = p.m.cfg.Now()
	}
	p.begun.Add(1)
	defer p.ended.Add(1)
	info, err := p.log.Append(batches, o)
	if err != nil {
		return info, p.judge(err)
	}
	p.m.appendedToDisk(len(batches))
	p.traffic.appended(info, len(batches))
	p.grown(info)
	return info, nil
}

// AppendMarker writes the end of a transaction.
func (p *Partition) AppendMarker(o commitlog.MarkerOptions) (commitlog.AppendInfo, error) {
	epoch, err := p.appendEpoch()
	if err != nil {
		return commitlog.AppendInfo{}, err
	}
	o.LeaderEpoch = epoch
	if o.Now.IsZero() {
		o.Now = p.m.cfg.Now()
	}
	p.begun.Add(1)
	defer p.ended.Add(1)
	info, err := p.log.AppendMarker(o)
	if err != nil {
		return info, p.judge(err)
	}
	p.grown(info)
	return info, nil
}

// appendEpoch returns the epoch to append in, or why that is not possible.
func (p *Partition) appendEpoch() (record.LeaderEpoch, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, ErrClosed
	}
	return p.state.Epoch(), nil
}

// grown takes note of an append. Where a write is all that the flush mode asks for, the high watermark follows at once.
func (p *Partition) grown(info commitlog.AppendInfo) {
	if info.Duplicate || info.LastOffset < info.FirstOffset {
		return
	}
	end := info.LastOffset + 1
	p.mu.Lock()
	rose := p.state.Appended(end)
	if p.appended.IsZero() {
		p.appended = p.m.cfg.Now()
	}
	p.sinceSync += int64(info.LastOffset - info.FirstOffset + 1)
	if p.m.cfg.Flush != FlushAlways {
		rose = p.state.Persisted(p.m.cfg.NodeID, end) || rose
	}
	due := p.sinceSync >= p.config.Load().FlushMessages
	p.mu.Unlock()
	if rose {
		p.wake()
	}
	if due {
		// flush.messages: the topic asks for a flush at this many records, whatever the broker's mode. A failure takes the partition
		// offline, which the next request is told.
		_ = p.flush(end)
	}
}

// CanCommit reports whether acks=all can be promised now.
func (p *Partition) CanCommit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.state.InSync() {
		return fmt.Errorf("%w: %s-%d", ErrNotEnoughReplicas, p.Topic, p.Number)
	}
	return nil
}

// Committed reports whether everything below end is committed: whether there is nothing to wait for.
func (p *Partition) Committed(end record.Offset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.HighWatermark() >= end
}

// Commit waits until everything below end is persisted and committed. It flushes itself when the flush mode asks for that and nobody else does.
func (p *Partition) Commit(ctx context.Context, end record.Offset) error {
	if p.m.cfg.Flush == FlushAlways {
		if err := p.flush(end); err != nil {
			return err
		}
	}
	for {
		if err := p.check(); err != nil {
			return err
		}
		p.mu.Lock()
		if p.state.HighWatermark() >= end {
			p.mu.Unlock()
			return nil
		}
		if p.closed {
			p.mu.Unlock()
			return ErrClosed
		}
		if p.committed == nil {
			p.committed = make(chan struct{})
		}
		rose := p.committed
		p.mu.Unlock()
		select {
		case <-rose:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Persist makes sure that everything below end is as safe on this replica as the flush mode says: what acks=1 waits for.
func (p *Partition) Persist(end record.Offset) error {
	if p.m.cfg.Flush != FlushAlways {
		return p.check()
	}
	return p.flush(end)
}

// flush syncs the log at least up to end. Of several callers one syncs for all that have appended by then.
func (p *Partition) flush(end record.Offset) error {
	p.flushMu.Lock()
	defer p.flushMu.Unlock()
	if err := p.check(); err != nil {
		return err
	}
	if p.log.Checkpoint().RecoveryPoint >= end {
		p.persisted(p.log.Checkpoint().RecoveryPoint)
		return nil
	}
	p.mu.Lock()
	p.appended, p.sinceSync = time.Time{}, 0
	p.mu.Unlock()
	target := p.log.End()
	begun := time.Now()
	err := p.log.Flush(target)
	now := time.Now()
	p.m.flushes.Observe(now, now.Sub(begun))
	if err != nil {
		return p.judge(err) // ErrClosed: the topic was deleted meanwhile
	}
	p.persisted(target)
	return nil
}

func (p *Partition) persisted(end record.Offset) {
	p.mu.Lock()
	rose := p.state.Persisted(p.m.cfg.NodeID, end)
	p.mu.Unlock()
	if rose {
		p.wake()
	}
}

// DeleteRecords moves the log start to an offset, the high watermark when it is -1, and returns the new start. The start is durable when it returns.
func (p *Partition) DeleteRecords(to record.Offset) (record.Offset, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	hw := p.Offsets().HighWatermark
	if to == -1 {
		to = hw
	}
	if to < 0 || to > hw {
		return 0, fmt.Errorf("%w: deleting records of %s-%d below %d, its high watermark is %d", commitlog.ErrOffsetOutOfRange, p.Topic, p.Number, to, hw)
	}
	if to > p.log.LogStart() {
		if err := p.log.AdvanceLogStart(to); err != nil {
			return 0, p.judge(err)
		}
		p.mu.Lock()
		p.state.Started(p.log.LogStart())
		p.mu.Unlock()
		if err := p.m.saveCheckpoint(); err != nil {
			return 0, p.m.judge(err)
		}
		p.wake()
	}
	return p.log.LogStart(), nil
}

// configure takes a changed topic configuration.
func (p *Partition) configure(t *settings.Topic, c commitlog.Config) {
	p.config.Store(t)
	if p.log != nil {
		p.log.Configure(c)
	}
}

// end closes the log. One that is offline is only let go of.
func (p *Partition) end() error {
	err := p.check()
	switch {
	case p.log == nil:
		return err
	case err != nil:
		return errors.Join(err, p.log.Discard())
	}
	return p.judge(p.log.Close())
}

// close ends the partition's use. Whoever waits is told.
func (p *Partition) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake()
}

// BeginVerification prepares the append of a transaction's batch: it tells whether the transaction's coordinator has to be asked first, which it has
// unless the transaction is open in this log already. bumped says that the producer's epoch rises with every transaction (KIP-890).
func (p *Partition) BeginVerification(batch record.Batch, bumped bool) (commitlog.VerificationGuard, error) {
	if err := p.check(); err != nil {
		return commitlog.VerificationGuard{}, err
	}
	guard, err := p.log.BeginVerification(p.m.cfg.Now(), batch.ProducerID(), batch.ProducerEpoch(), batch.BaseSequence(), bumped)
	return guard, p.judge(err)
}
