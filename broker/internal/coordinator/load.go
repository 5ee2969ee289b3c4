package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// reload is load after a delay.
func (s *Shard[M]) reload(delay time.Duration) {
	if delay > 0 {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.ctx.Done():
		}
	}
	s.load()
}

// load replays the log until it succeeds or the shard is resigned. It runs on its own goroutine, counted in running.
func (s *Shard[M]) load() {
	defer s.running.Done()
	for wait := loadRetryMin; ; wait = min(2*wait, loadRetryMax) {
		err := s.tryLoad()
		if err == nil || s.ctx.Err() != nil {
			return
		}
		if s.cfg.LoadFailed != nil {
			s.cfg.LoadFailed(s, err)
		}
		retry := time.NewTimer(wait)
		select {
		case <-retry.C:
		case <-s.ctx.Done():
			retry.Stop()
			return
		}
	}
}

func (s *Shard[M]) tryLoad() error {
	m := s.cfg.New(s.partition, s.epoch)
	if err := replay(s.ctx, s.log, m); err != nil {
		return fmt.Errorf("coordinator: loading %s-%d: %w", s.cfg.Topic, s.partition, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.phase != loading {
		return nil
	}
	m.Loaded(s.cfg.now())
	s.mu.machine = m
	s.setPhase(active)
	s.arm()
	return nil
}

// replay feeds the log between its bounds to m.
func replay(ctx context.Context, log Log, m Machine) error {
	unpack := record.NewDecompressor(record.DefaultMaxDecompressed)
	next, end := log.Bounds()
	for next < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := log.Read(ctx, next, loadReadBytes)
		if err != nil {
			return err
		}
		after, err := replayBatches(data, next, m, unpack)
		if err != nil {
			return err
		}
		if after <= next {
			return fmt.Errorf("the log ends at %d instead of %d", next, end)
		}
		next = after
	}
	return nil
}

// arm sets the timer when the machine's next deadline lies before the one that is set; s.mu is held. A deadline that
// moved away lets the timer fire for nothing: cheaper than to set it at every heartbeat.
func (s *Shard[M]) arm() {
	at := s.mu.machine.NextDeadline()
	if at.IsZero() || !s.mu.timerAt.IsZero() && !at.Before(s.mu.timerAt) {
		return
	}
	s.mu.timerAt = at
	wait := max(at.Sub(s.cfg.now()), 0)
	if s.mu.timer == nil {
		s.mu.timer = time.AfterFunc(wait, s.tick)
		return
	}
	s.mu.timer.Reset(wait)
}

// tick runs what is due. It runs on the timer's goroutine.
func (s *Shard[M]) tick() {
	s.mu.Lock()
	if s.mu.phase != active || s.mu.timerAt.IsZero() {
		s.mu.Unlock()
		return
	}
	s.running.Add(1)
	defer s.running.Done()
	s.mu.timerAt = time.Time{}
	// An error has reached whoever waited: the tick itself waits for nothing.
	_ = s.stepLocked(s.ctx, func(m M, now time.Time, w *Writer) { s.cfg.Tick(s, m, now, w) })
}
