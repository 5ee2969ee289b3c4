package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/client"
)

// transient are the errors after which the tasks begin again at what is committed.
var transient = []error{client.ErrAbort, client.ErrFenced, client.ErrRebalanced, client.ErrGeneration, client.ErrUnknownOutcome, context.DeadlineExceeded}

// recover decides what follows from an error: nil when the worker can go on. Called with mu held.
func (w *worker) recover(cause error) error {
	if w.life.Err() != nil || !slices.ContainsFunc(transient, func(t error) bool { return errors.Is(cause, t) }) {
		return w.explain(cause)
	}
	if w.resets.add(time.Now(), cause, w.app.cfg.TaskTimeout) {
		return fmt.Errorf("runtime: worker %d has not committed for %v: %w", w.index, w.app.cfg.TaskTimeout, cause)
	}
	w.log.Warn("beginning again at the last commit", "error", cause)
	return w.reset(errors.Is(cause, client.ErrRebalanced))
}

// resets are the times that a worker began again at the last commit, as one series. A commit ends it, and so does a long rest.
type resets struct {
	n     int
	cause error     // of the last one
	first time.Time // when it was that a reset began the series
	open  time.Time // when there was last something that a commit could have settled
}

// add counts a reset. It reports whether the series has gone on for longer than limit.
func (r *resets) add(now time.Time, cause error, limit time.Duration) (tooLong bool) {
	if r.n == 0 {
		r.first = now
	}
	r.n++
	r.cause, r.open = cause, now
	return now.Sub(r.first) > limit
}

// look notes whether something is open that a commit could settle, and ends the series when that has not been so for longer than limit: what failed has passed, and
// nothing came that could have shown it. How far resets lie apart would not tell, since one that fails for good takes its time-out to do so.
func (r *resets) look(now time.Time, open bool, limit time.Duration) {
	switch {
	case open:
		r.open = now
	case now.Sub(r.open) > limit:
		*r = resets{}
	}
}

// explain adds what a user can do about an error.
func (w *worker) explain(err error) error {
	if errors.Is(err, client.ErrTopicChanged) {
		return fmt.Errorf("runtime: %w: offsets and state speak of the topic that was there before; restore it, or reset the application", err)
	}
	if errors.Is(err, client.ErrOffsetOutOfRange) {
		return fmt.Errorf("runtime: %w: records that were not processed have been deleted; set the group's offset to where to go on", err)
	}
	return err
}

// reset takes everything back to the last commit. If the group threw the worker out, its tasks wait for the next grant. Called with mu held.
func (w *worker) reset(rebalanced bool) error {
	w.dropAll()
	w.aborts++
	w.wanted = false
	ctx, cancel := context.WithTimeout(w.life, w.app.cfg.TaskTimeout)
	defer cancel()
	if err := w.producer.End(ctx, false); err != nil {
		// Fenced or unknown: a new epoch settles both, since the coordinator ends what is open first.
		if err := w.producer.Init(ctx); err != nil {
			return fmt.Errorf("runtime: after %d attempts to begin again: %w", w.resets.n, err)
		}
	}
	if rebalanced {
		w.suspended = time.Now()
		w.noteReady()
		return nil
	}
	w.startTasks()
	return nil
}

// dropAll forgets all tasks with what they have not committed. Called with mu held.
func (w *worker) dropAll() {
	for _, t := range w.order {
		t.drop()
	}
	clear(w.tasks)
	w.order = nil
}

// trouble notes an error of the group that may pass.
func (w *worker) trouble(err error) {
	w.troubles.Lock()
	defer w.troubles.Unlock()
	if w.troubles.err == nil {
		w.troubles.since = time.Now()
	}
	w.troubles.err = err
	w.signal()
}

// calm forgets trouble: something has worked.
func (w *worker) calm() {
	w.troubles.Lock()
	defer w.troubles.Unlock()
	w.troubles.err = nil
}

// hopeless returns an error when trouble has lasted too long, and takes up suspended tasks when the group does not speak. Called with mu held.
func (w *worker) hopeless() error {
	w.troubles.Lock()
	err, since := w.troubles.err, w.troubles.since
	w.troubles.Unlock()
	if err != nil && time.Since(since) > w.app.cfg.TaskTimeout {
		return fmt.Errorf("runtime: worker %d: nothing has worked for %v: %w", w.index, w.app.cfg.TaskTimeout, err)
	}
	if !w.suspended.IsZero() && time.Since(w.suspended) > w.app.cfg.SessionTimeout {
		w.suspended = time.Time{}
		w.startTasks()
	}
	return nil
}
