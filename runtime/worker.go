package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/statestore"
)

// worker is one member of the group with one producer and the tasks that fall to it. Its run goroutine does everything that has an order: records, punctuation, commits.
//
// The group's callbacks come on kgo's goroutine and take mu, as the run goroutine does while it works: between two slices of work it lets go, so that a rebalance waits
// for some milliseconds of work, or for a commit. Lock order: worker.mu ▶ what package client locks. Nothing that holds App.mu takes worker.mu.
type worker struct {
	app           *App
	index         int
	log           *slog.Logger
	transactional string
	life          context.Context // ends when the worker must stop at once
	hangUp        func()          // ends everything that the client has under way
	cl            *kgo.Client
	topics        *client.Topics
	producer      *client.Producer
	fetcher       *client.Fetcher
	balancer      *balancer
	wake          chan struct{} // capacity 1: a task is prepared, or the group has news
	board         board
	ready         atomic.Bool // all granted tasks are running, and there was a grant

	troubles struct { // what goes wrong at present in the group
		sync.Mutex
		err   error
		since time.Time
	}

	mu        sync.Mutex
	tasks     map[topology.TaskID]*task // guarded by mu
	order     []*task                   // tasks in order of id; guarded by mu
	turn      int                       // the task that begins the next slice; guarded by mu
	granted   bool                      // the group has given its word; guarded by mu
	ended     bool                      // no task begins any more, whatever the group says; guarded by mu
	suspended time.Time                 // the group threw this worker out, the tasks wait for a grant; zero otherwise; guarded by mu
	grant     assign.Grant              // guarded by mu
	commits   int64                     // guarded by mu
	aborts    int64                     // guarded by mu
	commitAt  time.Time                 // of the last commit; guarded by mu
	wanted    bool                      // a task asked for a commit; guarded by mu
	resets    resets                    // guarded by mu
	posted    time.Time                 // guarded by mu
	batches   map[statestore.Engine]statestore.Batch
}

const (
	// postInterval is how fresh the progress is while records are processed.
	postInterval = 20 * time.Millisecond
	// idleWait is how long a worker without work sleeps when nothing wakes it: only the progress's ends get older meanwhile.
	idleWait = 500 * time.Millisecond
)

func newWorker(a *App, index int, life context.Context) (*worker, error) {
	w := &worker{
		app: a, index: index, log: a.log.With("worker", index), life: life,
		transactional: assign.TransactionalID(a.cfg.AppID, a.process, index),
		wake:          make(chan struct{}, 1),
		tasks:         make(map[topology.TaskID]*task),
		batches:       make(map[statestore.Engine]statestore.Batch),
	}
	// The client joins the group at once: its callbacks wait until the worker is complete.
	w.mu.Lock()
	defer w.mu.Unlock()
	w.balancer = &balancer{app: a, process: a.process, transactional: w.transactional}
	line, hangUp := context.WithCancel(context.Background())
	w.hangUp = hangUp
	opts := slices.Concat(a.connection("worker-"+strconv.Itoa(index)), a.features.Options(), w.groupOptions(), []kgo.Opt{kgo.WithContext(line)})
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		hangUp()
		return nil, fmt.Errorf("runtime: worker %d: %w", index, err)
	}
	w.cl = cl
	w.topics = client.NewTopics(cl)
	config := client.ProducerConfig{Features: a.features, Codec: a.cfg.Compression.codec(), DeliveryTimeout: a.cfg.TaskTimeout, Logger: w.log}
	if a.cfg.Guarantee == ExactlyOnce {
		config.TransactionalID = w.transactional
		config.TransactionTimeout = a.cfg.TransactionTimeout
	}
	w.producer = client.NewProducer(cl, w.topics, config)
	w.fetcher = client.NewFetcher(cl, w.topics, client.FetchConfig{ReadCommitted: a.cfg.Guarantee == ExactlyOnce, Logger: w.log})
	return w, nil
}

// instanceID is the worker's static name in the group, nil without one.
func (w *worker) instanceID() *string {
	id := w.app.cfg.InstanceID
	if id == "" && w.app.cfg.StateDir != "" {
		id = w.app.process
	}
	if id == "" {
		return nil
	}
	id += "-" + strconv.Itoa(w.index)
	return &id
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the worker's life. It returns nil when stop has ended, or what went wrong.
func (w *worker) run(stop context.Context) error {
	if err := w.producer.Init(stop); err != nil {
		if stop.Err() != nil {
			return w.leave()
		}
		return fmt.Errorf("runtime: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		busy, wait, err := w.slice()
		if err != nil {
			if w.life.Err() != nil {
				return nil
			}
			w.quit()
			return err
		}
		if busy {
			select {
			case <-stop.Done():
				return w.leave()
			default:
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-stop.Done():
			return w.leave()
		case <-w.life.Done():
			return nil
		case <-w.fetcher.Ready():
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// slice does some work. It reports whether there may be more at once, or how long to wait otherwise.
func (w *worker) slice() (busy bool, wait time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	busy, wait, err = w.work()
	if err == nil {
		err = w.hopeless()
	}
	if err != nil {
		err = w.recover(err)
		busy = true
	}
	if now := time.Now(); !busy || now.Sub(w.posted) >= postInterval {
		w.posted = now
		w.post()
	}
	return busy, wait, err
}

// work starts prepared tasks, takes each running task some records further, and commits when that is due. Called with mu held.
func (w *worker) work() (busy bool, wait time.Duration, err error) {
	if err := w.activate(); err != nil {
		return false, 0, err
	}
	n := len(w.order)
	staged := 0
	now := time.Now()
	next := now.Add(idleWait)
	preparing := false
	for i := range n {
		t := w.order[(i+w.turn)%n]
		if !t.running() {
			preparing = true
			continue
		}
		some, err := t.process(w.app.cfg.MaxPollRecords, now)
		if err != nil {
			return false, 0, err
		}
		busy = busy || some
		if err := t.passTime(); err != nil {
			return false, 0, err
		}
		if err := t.punctuate(now); err != nil {
			return false, 0, err
		}
		next = earlier(next, t.wakeAt(now))
		staged += t.stagedBytes()
	}
	w.turn++
	w.producer.Send()
	dirty := w.dirty()
	w.resets.look(now, dirty || preparing || !w.suspended.IsZero(), w.app.cfg.TaskTimeout)
	if dirty {
		due := w.commitAt.Add(w.app.cfg.CommitInterval)
		if w.wanted || staged > w.app.cfg.MaxUncommittedBytes || !due.After(time.Now()) {
			return true, 0, w.commit()
		}
		next = earlier(next, due)
	}
	return busy, max(0, time.Until(next)), nil
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// dirty reports whether there is something to commit; a task that is being prepared has nothing yet, and its mark is not ours to read. Called with mu held.
func (w *worker) dirty() bool {
	for _, t := range w.order {
		if t.running() && t.dirty {
			return true
		}
	}
	return false
}

// activate takes in tasks whose preparation has ended. Called with mu held.
func (w *worker) activate() error {
	changed := false
	for _, t := range w.order {
		if t.running() || !t.prepared() {
			continue
		}
		if t.err != nil {
			return t.err
		}
		if err := t.begin(); err != nil {
			return err
		}
		changed = true
	}
	if changed || !w.ready.Load() {
		w.noteReady()
	}
	return nil
}

// noteReady tells the app whether this worker has everything at work. Called with mu held.
func (w *worker) noteReady() {
	ready := w.granted && w.grant.Settled && w.suspended.IsZero()
	for _, t := range w.order {
		ready = ready && t.running()
	}
	if w.ready.Swap(ready) != ready {
		w.app.noteState()
	}
}

// close releases what is left. Called once, after run has returned.
func (w *worker) close() {
	w.mu.Lock()
	w.ended = true // a callback of the group may wait for mu, and its tasks would outlive the engines
	w.dropAll()
	for _, b := range w.batches {
		if err := b.Close(); err != nil {
			w.log.Warn("closing a batch", "error", err)
		}
	}
	w.mu.Unlock()
	w.hangUp() // a member whose group is in the middle of a rebalance would wait for its end
	w.producer.Close()
	w.fetcher.Close()
	w.cl.Close()
}

// post updates the worker's part of the progress. Called with mu held.
func (w *worker) post() {
	tasks := make([]TaskProgress, len(w.order))
	for i, t := range w.order {
		tasks[i] = t.progress()
	}
	w.troubles.Lock()
	err := w.troubles.err
	w.troubles.Unlock()
	if err == nil {
		err = w.resets.cause
	}
	w.board.post(tasks, w.commits, w.aborts, w.commitAt, err)
}

func sortTasks(tasks []TaskProgress) {
	slices.SortFunc(tasks, func(a, b TaskProgress) int { return assign.CompareTasks(a.ID, b.ID) })
}

// queryable returns the running partitions of a store.
func (w *worker) queryable(store string) []statestore.Partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []statestore.Partition
	for _, t := range w.order {
		if !t.running() {
			continue
		}
		for _, s := range t.stores {
			if s.spec.StoreName() == store {
				parts = append(parts, s.part)
			}
		}
	}
	return parts
}
