package golden_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/runtimetest"
)

const (
	// appID stands before the names of internal topics.
	appID = "golden"
	// patience is how long a step may take; it takes some milliseconds.
	patience = 2 * time.Minute
)

// application is a case in the runtime, at a broker: exactly-once, one partition for each topic, and stores that forward every change.
type application struct {
	*terminal
	app   *runtime.App
	stop  context.CancelFunc
	done  chan struct{}              // closed when Run has returned
	err   error                      // of Run; valid once done is closed
	tasks int                        // that must run
	ends  map[string]map[int32]int64 // of the topics that are read, as they were last found
}

// newApplication starts a case. opts reach the broker, and so does config.
func newApplication(in *interpreter, topo *topology.Topology, config runtime.Config, opts []kgo.Opt) (*application, error) {
	config.AppID, config.Workers, config.CommitInterval, config.EveryChange = appID, 1, time.Millisecond, true
	config.Faults, config.Logger = in.faults(), slog.New(slog.DiscardHandler)
	app, err := runtime.New(topo, config)
	if err != nil {
		return nil, err
	}
	plan, err := topo.Plan(appID, func(name string) (int32, bool) { return 1, !strings.HasPrefix(name, appID+"-") })
	if err != nil {
		return nil, err
	}
	t, err := newTerminal(in, topo, opts)
	if err != nil {
		return nil, err
	}
	m := &application{terminal: t, app: app, done: make(chan struct{}), tasks: max(len(plan.Tasks), len(topo.Subtopologies())), ends: map[string]map[int32]int64{}}
	var run context.Context
	run, m.stop = context.WithCancel(context.Background())
	go func() {
		defer close(m.done)
		m.err = app.Run(run)
	}()
	return m, nil
}

func (m *application) close() error {
	m.stop()
	<-m.done
	m.client.Close()
	return m.err
}

// start waits until the application runs.
func (m *application) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return m.settle(ctx)
}

func (m *application) pipe(topic string, key, value []byte, ts int64, headers []runtimetest.Header) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.produce(ctx, topic, key, value, ts, headers); err != nil {
		return err
	}
	return m.settle(ctx)
}

// settle waits until everything that was written to input and repartition topics is committed. What is committed is looked at first and the ends then: when they meet,
// nothing was on its way in between.
func (m *application) settle(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if p := m.app.Progress(); m.committed(&p) {
			if err := m.findEnds(ctx, &p); err != nil {
				return err
			}
			if m.committed(&p) {
				return nil
			}
		}
		select {
		case <-m.done:
			return errors.Join(errors.New("the application has ended"), m.err)
		case <-ctx.Done():
			return fmt.Errorf("the step is not done after %v: ends %v, %+v", patience, m.ends, m.app.Progress())
		case <-tick.C:
		}
	}
}

// committed tells whether all inputs were committed up to the ends that are known.
func (m *application) committed(p *runtime.Progress) bool {
	if p.State != runtime.Running || len(p.Tasks) < m.tasks {
		return false
	}
	for _, t := range p.Tasks {
		if t.State != runtime.TaskRunning {
			return false
		}
		for _, in := range t.Inputs {
			if in.Committed < m.ends[in.Topic][in.Partition] {
				return false
			}
		}
	}
	for _, g := range p.Globals {
		for partition, end := range m.ends[g.Topic] {
			if int(partition) >= len(g.Positions) || g.Positions[partition] < end {
				return false
			}
		}
	}
	return true
}

// findEnds asks for the ends of all that the application reads.
func (m *application) findEnds(ctx context.Context, p *runtime.Progress) error {
	for _, t := range p.Tasks {
		for _, in := range t.Inputs {
			m.ends[in.Topic] = map[int32]int64{}
		}
	}
	for _, g := range p.Globals {
		m.ends[g.Topic] = map[int32]int64{}
	}
	ends, err := m.admin.ListEndOffsets(ctx, sortedKeys(m.ends)...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) { m.ends[o.Topic][o.Partition] = o.Offset })
	return nil
}

// advance does nothing: the wall clock is the machine's, and no operator of the case goes by it.
func (m *application) advance(time.Duration) error { return nil }

func (m *application) drops() (map[string]int, bool) {
	all := map[string]int{}
	p := m.app.Progress()
	add := func(drops []runtime.Drops) {
		for _, d := range drops {
			all[d.Operator+" "+d.Reason] += int(d.Count)
		}
	}
	for _, t := range p.Tasks {
		add(t.Drops)
	}
	for _, g := range p.Globals {
		add(g.Drops)
	}
	return all, true
}

func (m *application) query(in *interpreter, i int) ([]storeEntry, error) {
	return in.query(m, i)
}

func (m *application) rows(in *interpreter, store string) ([]storeEntry, error) {
	return in.rows(m, store)
}

func (m *application) interrupt(int) error { return nil }
