package runtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/internal/assign"
)

// startTasks begins to prepare granted tasks that are not there yet. Called with mu held.
func (w *worker) startTasks() {
	if w.ended {
		return
	}
	for _, id := range w.grant.Tasks {
		if w.tasks[id] == nil {
			t := newTask(w, id, w.grant)
			w.tasks[id] = t
			w.order = append(w.order, t)
		}
	}
	slices.SortFunc(w.order, func(a, b *task) int { return assign.CompareTasks(a.id, b.id) })
	w.noteReady()
}

// assigned is called after every assignment, with or without something new.
func (w *worker) assigned() {
	grant := w.balancer.latest()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grant, w.granted, w.suspended = grant, true, time.Time{}
	w.calm()
	for _, t := range slices.Clone(w.order) { // given up already unless the group protocol skipped a step
		if !slices.Contains(grant.Tasks, t.id) {
			w.remove(t)
		}
	}
	w.startTasks()
	w.signal()
}

// revoked gives up the tasks of the partitions, after a commit: who gets them begins where this worker ends.
func (w *worker) revoked(lost map[string][]int32) {
	gone := w.app.tasksOf(lost)
	if len(gone) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grant.Tasks = slices.DeleteFunc(slices.Clone(w.grant.Tasks), func(id topology.TaskID) bool { return slices.Contains(gone, id) })
	w.granted = false // until the assignment that goes with this
	w.noteReady()
	if w.dirty() && w.life.Err() == nil {
		if err := w.commit(); err != nil {
			w.log.Warn("no commit before tasks were given up: their new owners process some records again", "error", err)
			for _, id := range gone {
				if t := w.tasks[id]; t != nil {
					w.remove(t)
				}
			}
			if err := w.recover(err); err != nil {
				w.app.fatal(err)
			}
			return
		}
	}
	for _, id := range gone {
		if t := w.tasks[id]; t != nil {
			w.remove(t)
		}
	}
	w.signal()
}

// lost drops everything at once: others may have the tasks already.
func (w *worker) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grant.Tasks = nil
	w.granted = false
	if w.life.Err() == nil && len(w.order) > 0 {
		if err := w.reset(false); err != nil {
			w.app.fatal(err)
		}
	}
	w.noteReady()
}

// remove gives up one task without its uncommitted work. Called with mu held.
func (w *worker) remove(t *task) {
	t.drop()
	delete(w.tasks, t.id)
	w.order = slices.DeleteFunc(w.order, func(o *task) bool { return o == t })
}

// leave ends the worker cleanly: a last commit, then out of the group.
func (w *worker) leave() error {
	w.mu.Lock()
	w.ended = true
	var err error
	if w.dirty() {
		if err = w.commit(); err != nil {
			w.log.Warn("no last commit: the next start processes some records again", "error", err)
			w.dropAll()
			if !slices.ContainsFunc(transient, func(t error) bool { return errors.Is(err, t) }) && w.life.Err() == nil {
				err = w.explain(err)
			} else {
				err = nil
			}
		}
	}
	w.dropAll()
	w.post()
	w.mu.Unlock()
	w.sayGoodbye()
	return err
}

// quit ends a worker that cannot go on: what is not committed is taken back, and the others need not wait for its session to end.
func (w *worker) quit() {
	w.mu.Lock()
	w.ended = true
	w.dropAll()
	w.post()
	ctx, cancel := context.WithTimeout(w.life, leaveTimeout)
	defer cancel()
	if err := w.producer.End(ctx, false); err != nil {
		w.log.Debug("aborting the last transaction", "error", err)
	}
	w.mu.Unlock()
	w.sayGoodbye()
}

// sayGoodbye leaves the group.
func (w *worker) sayGoodbye() {
	ctx, cancel := context.WithTimeout(w.life, leaveTimeout)
	defer cancel()
	if err := w.cl.LeaveGroupContext(ctx); err != nil {
		w.log.Debug("leaving the group", "error", err)
	}
	id, generation := w.cl.GroupMetadata() // now that no join is under way any more
	if instance := w.instanceID(); instance != nil && id != "" {
		if err := client.Leave(ctx, w.cl, client.Member{Group: w.app.cfg.AppID, ID: id, Generation: generation, InstanceID: instance}); err != nil {
			w.log.Debug("leaving the group", "error", err)
		}
	}
}

// leaveTimeout bounds the good-bye; without it the session time-out does the same.
const leaveTimeout = time.Second
