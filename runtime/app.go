package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// App is one instance of an application. Its methods are safe for concurrent use.
type App struct {
	topo *topology.Topology
	cfg  Config // with defaults
	log  *slog.Logger

	machine machine
	tally   tally
	ran     atomic.Bool
	fail    chan error // the first fatal error of any goroutine; capacity 1

	// Set by Run before the workers start, immutable then.
	process    string
	shape      *topology.Topology // topo with the topics that its patterns match
	features   client.Features
	plan       *topology.Plan
	partitions map[string]int32 // of every topic that is read or written, by real name
	maxBytes   map[string]int   // max.message.bytes of topics that are written
	readers    map[string]int   // the sub-topology that reads a topic, by real name
	storeBytes int              // what a store's cache may keep
	restores   chan struct{}    // a token for each restore that may run at once

	noting sync.Mutex // over noteState; taken before mu

	mu      sync.Mutex
	workers []*worker // guarded by mu
	engines *engines  // nil before and after Run; guarded by mu
	globals *globals  // nil without global tables, before they are complete and after Run; guarded by mu
	kill    func()    // ends the workers at once; guarded by mu
}

// New checks the configuration. Nothing is opened or connected before Run.
func New(t *topology.Topology, cfg Config) (*App, error) {
	if t == nil {
		return nil, errors.New("runtime: the topology is nil: pass what Builder.Build returned")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{topo: t, cfg: cfg.withDefaults(), fail: make(chan error, 1)}
	a.log = a.cfg.Logger.With("app", cfg.AppID)
	a.machine.listener = cfg.OnState
	return a, nil
}

// State returns where the app is in its life.
func (a *App) State() State { return a.machine.get() }

// Progress returns what the instance has done. It never waits for a broker.
func (a *App) Progress() Progress {
	p := Progress{State: a.State()}
	a.mu.Lock()
	workers, globals := a.workers, a.globals
	a.mu.Unlock()
	for _, w := range workers {
		w.board.addTo(&p)
	}
	globals.addTo(&p)
	a.tally.addTo(&p)
	sortTasks(p.Tasks)
	return p
}

// Run runs the instance until ctx ends, and then commits what was processed, leaves the group and returns nil. Otherwise it returns what went wrong. It can
// be called once.
func (a *App) Run(ctx context.Context) (err error) {
	if a.ran.Swap(true) {
		return errors.New("runtime: Run was called before: make a new App")
	}
	defer a.machine.wait()
	a.machine.set(Rebalancing)
	err = a.run(ctx)
	if err != nil {
		a.machine.set(Failed)
		return err
	}
	a.machine.set(PendingShutdown)
	a.machine.set(NotRunning)
	return nil
}

func (a *App) run(ctx context.Context) (err error) {
	engines, err := a.openState()
	if err != nil {
		return err
	}
	a.setEngines(engines)
	defer func() {
		a.setEngines(nil)
		err = errors.Join(err, engines.close())
	}()
	admin, err := kgo.NewClient(a.connection("admin")...)
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	defer admin.Close()
	if err := a.prepare(ctx, admin); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	globals, err := a.openGlobals(ctx, engines)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	a.setGlobals(globals)
	defer func() {
		a.setGlobals(nil)
		globals.close()
	}()
	return a.runWorkers(ctx, admin)
}

// fatal ends the app with err, which it returns.
func (a *App) fatal(err error) error {
	select {
	case a.fail <- err:
	default: // there is one already
	}
	return err
}

func (a *App) setEngines(e *engines) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.engines = e
}

func (a *App) setGlobals(g *globals) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.globals = g
}

// openState opens the engines and finds out who this process is.
func (a *App) openState() (*engines, error) {
	if a.cfg.StateDir == "" {
		a.process = uuid.NewString()
		return openEngines("", a.cfg, a.log)
	}
	dir := stateDir{a.cfg.StateDir}
	if err := dir.create(a.cfg.AppID); err != nil {
		return nil, err
	}
	e, err := openEngines(dir.store(), a.cfg, a.log)
	if err != nil {
		return nil, err
	}
	if a.process, err = dir.process(a.cfg.AppID); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// connection returns the options of a client of this app.
func (a *App) connection(role string) []kgo.Opt {
	opts := client.Config{Brokers: a.cfg.Brokers, Dial: a.cfg.Dial, SASL: a.cfg.SASL, ClientID: a.cfg.AppID + "-" + role}.Options()
	return append(opts, kgo.WithLogger(kgoLogger{a.log.With("client", role)}))
}

// runWorkers runs the workers until ctx ends or one fails, and stops them all.
func (a *App) runWorkers(ctx context.Context, admin *kgo.Client) error {
	life, kill := context.WithCancel(context.Background())
	defer kill()
	var workers []*worker
	defer func() {
		for _, w := range workers {
			w.close()
		}
	}()
	for i := range a.cfg.Workers {
		w, err := newWorker(a, i, life)
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	a.mu.Lock()
	a.workers, a.kill = workers, kill
	a.mu.Unlock()
	a.noteState() // workers that were ready before they were listed

	work, stop := context.WithCancel(life)
	defer stop()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			if err := w.run(work); err != nil {
				a.fatal(err)
			}
		})
	}
	purge, endPurge := context.WithCancel(life)
	if a.cfg.RepartitionPurge > 0 {
		wg.Go(func() { a.purgeLoop(purge, admin) })
	}
	var failed error
	select {
	case <-ctx.Done():
		a.machine.set(PendingShutdown)
	case failed = <-a.fail:
	}
	endPurge()
	stop()
	// A clean end waits for the last commit. One that cannot be done in time is left to the next start: nothing is lost by it.
	timer := time.AfterFunc(a.cfg.TransactionTimeout, kill)
	defer timer.Stop()
	wg.Wait()
	if failed == nil && ctx.Err() == nil {
		failed = errors.New("runtime: the workers ended by themselves")
	}
	return failed
}

// noteState sets Running when every worker has what it was granted at work, Rebalancing otherwise.
func (a *App) noteState() {
	a.noting.Lock() // what was looked at first must not be told last
	defer a.noting.Unlock()
	a.mu.Lock()
	workers := a.workers
	a.mu.Unlock()
	ready := len(workers) > 0
	for _, w := range workers {
		ready = ready && w.ready.Load()
	}
	if ready {
		a.machine.set(Running)
	} else if a.machine.get() == Running {
		a.machine.set(Rebalancing)
	}
}

// kgoLogger lets franz-go's warnings through, as debugging: what matters of them comes back as an error and is reported in the app's words.
type kgoLogger struct{ log *slog.Logger }

func (kgoLogger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l kgoLogger) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	l.log.Debug("franz-go: "+strings.TrimSpace(msg), keyvals...)
}

// Query returns a typed, read-only view of what is committed in the partitions of a store that this instance has. It is safe for concurrent use, and stays valid until a
// partition of the store moves away or Run returns: then its calls return an error, and Query gives a new one. What the partitions of other instances hold is not found in
// it: those have to be asked themselves.
func Query[View any](a *App, spec interface {
	statestore.Spec
	View(partitions []statestore.Partition) View
}) (View, error) {
	parts, err := a.storePartitions(spec.StoreName())
	if err != nil {
		var none View
		return none, err
	}
	return spec.View(parts), nil
}

// storePartitions returns the partitions of a store that running tasks have.
func (a *App) storePartitions(store string) ([]statestore.Partition, error) {
	a.mu.Lock()
	workers, globals := a.workers, a.globals
	a.mu.Unlock()
	if parts, ok := globals.partitions(store); ok {
		return parts, nil
	}
	known := false
	for _, d := range a.topo.Stores() {
		known = known || d.Spec.StoreName() == store
	}
	for _, g := range a.topo.Globals() {
		known = known || g.Spec.StoreName() == store
	}
	if !known {
		return nil, fmt.Errorf("runtime: the topology has no store %q", store)
	}
	var parts []statestore.Partition
	for _, w := range workers {
		parts = append(parts, w.queryable(store)...)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("runtime: store %q: no partition of it is running in this instance (state %s)", store, a.State())
	}
	return parts, nil
}
