package coordinator

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

type phase int8

const (
	loading phase = iota
	active
	closed
)

// Shard is one partition of the internal topic with the machine that its log describes.
type Shard[M Machine] struct {
	cfg       *Config[M]
	partition int32
	epoch     int32
	log       Log
	ctx       context.Context // ends at Resign
	cancel    context.CancelFunc
	running   sync.WaitGroup // loads, flushes and ticks

	mu struct {
		sync.Mutex
		phase    phase
		changed  chan struct{} // closed, and made anew, when phase changes
		machine  M             // valid while active
		next     *flight       // what the next append takes
		spare    *batches      // memory for the flight after that; may be nil
		refusals int           // appends refused in a row
		flushing bool          // somebody appends; next fills meanwhile
		doomed   bool          // a step panicked during that append: its end is the machine's
		leaving  bool          // flushLeft will run
		timer    *time.Timer
		timerAt  time.Time // zero: not set
	}
}

func newShard[M Machine](cfg *Config[M], partition, epoch int32, log Log) *Shard[M] {
	s := &Shard[M]{cfg: cfg, partition: partition, epoch: epoch, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.changed = make(chan struct{})
	s.mu.next = newFlight(new(batches))
	s.running.Add(1)
	return s
}

// Partition is the partition of the internal topic.
func (s *Shard[M]) Partition() int32 { return s.partition }

// Epoch is the leader epoch under which this shard leads its partition.
func (s *Shard[M]) Epoch() int32 { return s.epoch }

// Do runs step on the machine and returns when everything that it, and every step before it, wrote is committed and its
// After functions have run. It returns kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, the log's refusal as a client
// may see it, or the context's error; only after the last one may the step still take effect.
func (s *Shard[M]) Do(ctx context.Context, step func(m M, now time.Time, w *Writer)) error {
	if err := s.lockActive(ctx); err != nil {
		return err
	}
	return s.stepLocked(ctx, step)
}

// Leave is Do for a step whose writes nobody waits for. They go into the log with what the next step writes, in one append, or after leaveFor when there is no next
// one: until then the log lacks what memory has. It returns at once.
func (s *Shard[M]) Leave(ctx context.Context, step func(m M, now time.Time, w *Writer)) error {
	if err := s.lockActive(ctx); err != nil {
		return err
	}
	f := s.mu.next
	s.apply(step)
	switch {
	case f.batches.empty():
		return s.finishLocked(ctx, f)
	case s.mu.flushing:
		f.steps++ // whoever appends just now goes on with this
	case !s.mu.leaving:
		s.mu.leaving = true
		time.AfterFunc(leaveFor, s.flushLeft)
	}
	s.mu.Unlock()
	return nil
}

// flushLeft appends what was left, unless a step took it along. It runs on a timer's goroutine.
func (s *Shard[M]) flushLeft() {
	s.mu.Lock()
	s.mu.leaving = false
	if s.mu.phase != active || s.mu.flushing || s.mu.next.batches.empty() {
		s.mu.Unlock()
		return
	}
	s.flush()
}

// DoTxn is Do for a step that writes under a producer: a log that can tell beforehand refuses without harm.
func (s *Shard[M]) DoTxn(ctx context.Context, p entry.Producer, step func(m M, now time.Time, w *Writer)) error {
	if err := s.lockActive(ctx); err != nil {
		return err
	}
	if f, ok := s.log.(Fencer); ok {
		if err := s.checkLocked(func() error { return f.CheckProducer(p) }); err != nil {
			return err
		}
	}
	return s.stepLocked(ctx, step)
}

// Marker writes the end of a transaction to the log and to the machine.
func (s *Shard[M]) Marker(ctx context.Context, m entry.Marker) error {
	if err := s.lockActive(ctx); err != nil {
		return err
	}
	if f, ok := s.log.(Fencer); ok {
		if err := s.checkLocked(func() error { return f.CheckMarker(m) }); err != nil {
			return err
		}
	}
	return s.stepLocked(ctx, func(machine M, _ time.Time, w *Writer) {
		machine.ApplyMarker(m)
		w.Marker(m)
	})
}

// Peek runs look on the machine at once: what it sees may not be committed yet. It is for answers that bind nobody, like
// a heartbeat's. look must not change what the log describes.
func (s *Shard[M]) Peek(ctx context.Context, look func(m M, now time.Time)) error {
	if err := s.lockActive(ctx); err != nil {
		return err
	}
	s.apply(func(m M, now time.Time, _ *Writer) { look(m, now) })
	s.mu.Unlock()
	return nil
}

// checkLocked asks the log beforehand. It is entered with s.mu held, and leaves without it when it returns an error or
// panics.
func (s *Shard[M]) checkLocked(check func() error) error {
	passed := false
	defer func() {
		if !passed {
			s.mu.Unlock()
		}
	}()
	if err := check(); err != nil {
		return clientError(err)
	}
	passed = true
	return nil
}

// lockActive returns with s.mu held, or with an error and without it.
func (s *Shard[M]) lockActive(ctx context.Context) error {
	s.mu.Lock()
	if s.mu.phase == active {
		return nil
	}
	wait := s.cfg.loadWait()
	if wait <= 0 || s.mu.phase == closed {
		defer s.mu.Unlock()
		return s.refusal()
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for s.mu.phase == loading {
		changed := s.mu.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-timeout.C:
			return kerr.CoordinatorLoadInProgress
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
	if s.mu.phase == closed {
		s.mu.Unlock()
		return kerr.NotCoordinator
	}
	return nil
}

func (s *Shard[M]) refusal() error {
	if s.mu.phase == closed {
		return kerr.NotCoordinator
	}
	return kerr.CoordinatorLoadInProgress
}

// stepLocked is entered with s.mu held and leaves without it.
func (s *Shard[M]) stepLocked(ctx context.Context, step func(m M, now time.Time, w *Writer)) error {
	f := s.mu.next
	s.apply(step)
	return s.finishLocked(ctx, f)
}

// finishLocked returns when f, the next flight, which holds what the caller's step wrote, is committed. It is entered with
// s.mu held and leaves without it.
func (s *Shard[M]) finishLocked(ctx context.Context, f *flight) error {
	switch {
	case s.mu.flushing:
		f.steps++
		s.mu.Unlock()
		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return ctx.Err()
		}
	case f.batches.empty():
		after := f.after
		f.after = nil
		s.mu.Unlock()
		for _, fn := range after {
			fn()
		}
		return nil
	default:
		s.flush()
		return f.err
	}
}

// apply runs step under the lock. A step that panics leaves a machine that nobody knows anything about: it is dropped, by
// whoever appends just now or else at once, and the panic goes on.
func (s *Shard[M]) apply(step func(m M, now time.Time, w *Writer)) {
	whole := false
	defer func() {
		switch {
		case whole:
		case s.mu.flushing:
			s.mu.doomed = true
			s.setPhase(loading)
			s.mu.Unlock()
		default:
			s.dropLocked(nil, kerr.UnknownServerError)
		}
	}()
	w := Writer{f: s.mu.next, now: s.cfg.now(), maxBytes: s.cfg.maxBatchBytes()}
	step(s.mu.machine, w.now, &w)
	s.arm()
	whole = true
}

// flush appends the next flight. It is entered with s.mu held and nobody flushing, and leaves without the lock and the
// flight settled. Flights that filled meanwhile are left to a goroutine, so that nobody works for others for long.
func (s *Shard[M]) flush() {
	s.mu.flushing = true
	s.running.Add(1)
	more := false
	defer func() {
		if !more {
			s.running.Done()
		}
	}()
	if more = s.flushOne(); !more {
		return
	}
	go func() {
		defer s.running.Done()
		s.mu.Lock()
		for s.flushOne() {
			s.mu.Lock()
		}
	}()
}

// flushOne appends one flight. It is entered with s.mu held and leaves without it; it says whether another flight waits,
// in which case the caller is still the one who flushes.
func (s *Shard[M]) flushOne() (more bool) {
	f := s.mu.next
	s.mu.next = newFlight(cmp.Or(s.mu.spare, new(batches)))
	s.mu.spare = nil
	s.mu.Unlock()
	if err := s.append(f); err != nil {
		s.failed(f, err)
		return false
	}

	s.mu.Lock()
	s.mu.refusals = 0
	s.mu.spare = f.batches.recycle()
	switch {
	case s.mu.doomed:
		s.dropLocked(nil, kerr.UnknownServerError)
		return false
	case s.mu.phase != active: // resigned meanwhile: nobody waits, and flushing is reset
	default:
		s.mu.flushing = s.mu.next.steps > 0
		more = s.mu.flushing
	}
	s.mu.Unlock()
	return more
}

// append writes a flight and settles it, or returns why the log refused. A panic on the way counts as a refusal, and goes
// on.
func (s *Shard[M]) append(f *flight) (err error) {
	whole := false
	defer func() {
		if !whole {
			s.failed(f, kerr.UnknownServerError)
		}
	}()
	if !f.batches.empty() {
		err = s.log.Append(s.ctx, f.batches.close())
	}
	if err == nil {
		f.settle(nil)
	}
	whole = true
	return err
}

// failed drops the state after the log refused f: what memory says is no longer what the log says.
func (s *Shard[M]) failed(f *flight, err error) {
	s.mu.Lock()
	if s.mu.refusals == 0 && s.ctx.Err() == nil && s.cfg.Refused != nil {
		s.mu.Unlock()
		s.cfg.Refused(s, err)
		s.mu.Lock()
	}
	s.dropLocked(f, clientError(err))
}

// dropLocked forgets the machine, tells everybody who waits for f, which may be nil, or behind it, and loads again. It is
// entered with s.mu held and leaves without it. Nobody else appends meanwhile.
func (s *Shard[M]) dropLocked(f *flight, why error) {
	reload := s.mu.phase == active || s.mu.doomed
	var behind *flight
	var delay time.Duration
	if reload {
		behind = s.unload(loading)
		s.running.Add(1)
		delay = reloadDelay(s.mu.refusals)
		s.mu.refusals++
	}
	s.mu.Unlock()

	if f != nil {
		f.settle(why)
	}
	if !reload {
		return // Resign settled the rest
	}
	behind.settle(why)
	if s.cfg.Unloaded != nil {
		s.cfg.Unloaded(s, why)
	}
	go s.reload(delay)
}

// reloadDelay is how long the reload after a refused append waits when n appends before it were refused too. What the
// machine has to write by itself, at its deadline or after its load, would otherwise be tried without a pause for as long as
// the log reads but does not write, as it does on a full disk.
func reloadDelay(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return min(loadRetryMin<<min(n-1, 16), loadRetryMax)
}

// unload forgets the machine and returns the flight that nobody will append; s.mu is held.
func (s *Shard[M]) unload(to phase) (behind *flight) {
	var none M
	s.mu.machine = none
	behind, s.mu.next = s.mu.next, newFlight(new(batches))
	s.mu.flushing, s.mu.doomed = false, false
	if s.mu.timer != nil {
		s.mu.timer.Stop()
		s.mu.timerAt = time.Time{}
	}
	s.setPhase(to)
	return behind
}

func (s *Shard[M]) setPhase(p phase) {
	s.mu.phase = p
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// resign gives the partition up and waits for whatever runs in it.
func (s *Shard[M]) resign(why error) {
	s.mu.Lock()
	if s.mu.phase == active && !s.mu.flushing && !s.mu.next.batches.empty() {
		s.flush() // what was left; a failure has been told
		s.mu.Lock()
	}
	if s.mu.phase == closed {
		s.mu.Unlock()
		return
	}
	behind := s.unload(closed)
	s.mu.Unlock()
	s.cancel()
	behind.settle(why)
	if s.cfg.Unloaded != nil {
		s.cfg.Unloaded(s, why)
	}
	s.running.Wait()
}
