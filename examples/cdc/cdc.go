package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/examples/internal/place"
	"github.com/millrace-io/millrace/runtime"
)

const partitions = 4

// job is one run of the example.
type job struct {
	options options
	where   *place.Place
	db      *database
	load    *load
	stderr  *os.File
	app     *runtime.App // nil when the parts are processes
	parts   []*part
	began   time.Time
}

// cdc does what the command line asks for.
func cdc(ctx context.Context, o options, stdout io.Writer, stderr *os.File) (err error) {
	j := &job{options: o, load: newLoad(), stderr: stderr, began: time.Now()}
	listen := ""
	if o.kill > 0 && len(o.brokers) == 0 {
		listen = "127.0.0.1:0"
	}
	if j.where, err = place.Open(place.Options{Name: "cdc", Brokers: o.brokers, Data: o.data, Listen: listen}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.where.Close()) }()
	if j.db, err = openDatabase(ctx, o.postgres, j.where.Dir()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.db.cleanUp(context.WithoutCancel(ctx)), j.db.stop()) }()
	if err := j.prepare(ctx); err != nil {
		return err
	}
	return j.follow(ctx, stdout)
}

// prepare fills the tables and makes the topics.
func (j *job) prepare(ctx context.Context) error {
	if err := j.where.Cluster.Connect(ctx, func(text string) { fmt.Fprintln(j.stderr, "cdc: "+text) }); err != nil {
		return err
	}
	if err := j.load.fill(ctx, j.db); err != nil {
		return fmt.Errorf("fill the tables: %w", err)
	}
	var specs []place.TopicSpec
	for _, name := range []string{customers.Name(), orders.Name(), items.Name(), revenue.Name()} {
		specs = append(specs, place.TopicSpec{Name: name, Partitions: partitions, Configs: map[string]string{"cleanup.policy": "compact"}})
	}
	_, err := j.where.Cluster.Ensure(ctx, specs...)
	return err
}

// follow runs connector, application and load side by side, and compares when all has come through.
func (j *job) follow(ctx context.Context, stdout io.Writer) error {
	work, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer j.killAll()
	defer cancel(nil)
	if err := j.start(work, &all, cancel); err != nil {
		return err
	}
	var loadTook time.Duration
	loaded := make(chan struct{})
	all.Go(func() {
		defer close(loaded)
		begun := time.Now()
		if err := j.load.run(work, j.db, j.options.rate, j.options.duration, j.options.changes); err != nil {
			cancel(err)
		}
		loadTook = time.Since(begun)
	})
	if err := j.watch(work, loaded, cancel); err != nil {
		return err
	}
	waited := time.Now()
	if err := j.caughtUp(work); err != nil {
		return cause(work, err)
	}
	fmt.Fprintf(stdout, "%d changes in %.1f s, and %.1f s later all of them had come through. ", j.load.changes.Load(), loadTook.Seconds(), time.Since(waited).Seconds())
	if len(j.parts) > 0 {
		fmt.Fprintf(stdout, "Connector and application were killed %d and %d times. ", j.parts[0].kills, j.parts[1].kills)
	}
	fmt.Fprintln(stdout)
	return j.compare(ctx, stdout)
}

// start runs connector and application: in this process or, if they are to be killed, each in one of its own.
func (j *job) start(ctx context.Context, all *sync.WaitGroup, fail func(error)) error {
	if j.options.kill > 0 {
		common := []string{"--brokers", j.where.Address(), "--postgres", j.db.url, "--data", j.where.Dir()}
		j.parts = []*part{{role: roleConnector, args: common}, {role: roleApp, args: common}}
		if err := j.parts[0].start(fail, "--fresh"); err != nil {
			return err
		}
		return j.parts[1].start(fail)
	}
	source, err := newConnector(&j.where.Cluster, j.db.url, true)
	if err != nil {
		return err
	}
	if j.app, err = newApp(&j.where.Cluster, filepath.Join(j.where.Dir(), "app")); err != nil {
		return err
	}
	for _, run := range []func(context.Context) error{source.Run, j.app.Run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	return nil
}

func (j *job) killAll() {
	for _, p := range j.parts {
		_ = p.kill() // the run is over, and a part that ended already is as good
	}
}

// How often the line of progress is drawn on a terminal, and written elsewhere.
const (
	drawEvery  = 200 * time.Millisecond
	writeEvery = 2 * time.Second
)

// watch shows how far the load is and kills the parts on the way, until the load is over.
func (j *job) watch(ctx context.Context, loaded <-chan struct{}, fail func(error)) error {
	terminal := term.IsTerminal(int(j.stderr.Fd()))
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	begun, written := time.Now(), time.Now()
	for {
		select {
		case <-loaded:
			if terminal {
				fmt.Fprint(j.stderr, "\r\x1b[K")
			}
			if ctx.Err() != nil {
				return cause(ctx, ctx.Err())
			}
			return nil
		case now := <-tick.C:
			line := fmt.Sprintf("%5.1f s  %d changes", now.Sub(begun).Seconds(), j.load.changes.Load())
			if len(j.parts) > 0 {
				line += fmt.Sprintf("  connector killed %d times, application %d times", j.parts[0].kills, j.parts[1].kills)
			}
			switch {
			case terminal:
				fmt.Fprint(j.stderr, "\r\x1b[K"+line)
			case now.Sub(written) >= writeEvery:
				fmt.Fprintln(j.stderr, line)
				written = now
			}
			if err := j.kill(now.Sub(begun), fail); err != nil {
				fail(err)
			}
		}
	}
}

// kill ends and restarts the parts so often that all kills are done at the end of the load, in turn.
func (j *job) kill(elapsed time.Duration, fail func(error)) error {
	done := float64(elapsed) / float64(j.options.duration)
	if j.options.changes > 0 {
		done = float64(j.load.changes.Load()) / float64(j.options.changes)
	}
	for i, p := range j.parts {
		due := int(done*float64(j.options.kill+1) + float64(i)/2)
		if p.kills >= min(due, j.options.kill) {
			continue
		}
		if err := p.kill(); err != nil {
			return err
		}
		p.kills++
		var more []string
		if i == 0 && !j.connected() {
			more = []string{"--fresh"} // it had not come as far as its first position
		}
		if err := p.start(fail, more...); err != nil {
			return err
		}
	}
	return nil
}

// connected tells whether the connector of this run has made its slot.
func (j *job) connected() bool {
	ctx, cancel := context.WithTimeout(context.Background(), place.Patience)
	defer cancel()
	conn, err := j.db.connect(ctx)
	if err != nil {
		return true
	}
	defer conn.Close(ctx)
	var n int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", connector).Scan(&n)
	return err != nil || n > 0
}

// caughtUp waits until the connector has brought everything and the application has processed it. Both are known to the database and to the log, so it
// holds whoever was killed how often.
func (j *job) caughtUp(ctx context.Context) error {
	end, system, err := j.db.end(ctx)
	if err != nil {
		return err
	}
	for {
		at, err := postgres.ReadPosition(ctx, connectorConfig(&j.where.Cluster, j.db.url))
		if err != nil {
			return err
		}
		if at.System == system && at.LSN >= end && len(at.Tables) == 3 {
			break
		}
		if err := pause(ctx, place.PollInterval); err != nil {
			return err
		}
	}
	stages := []string{customers.Name(), orders.Name(), items.Name()}
	for _, suffix := range []string{"order-customer-subscription-registration-topic", "order-customer-subscription-response-topic",
		"item-order-subscription-registration-topic", "item-order-subscription-response-topic", byDay.Name() + "-repartition"} {
		stages = append(stages, appID+"-"+suffix)
	}
	drain := place.Drain{Cluster: &j.where.Cluster, Group: appID, Stages: stages, Results: []string{revenue.Name()}}
	return drain.Wait(ctx)
}

// cause is why ctx ended, if it did.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// mostShown is how many rows of the answer are printed.
const mostShown = 10

// compare asks SQL, the topic and the store the same question.
func (j *job) compare(ctx context.Context, stdout io.Writer) error {
	want, err := j.db.answer(ctx)
	if err != nil {
		return err
	}
	fromTopic, err := j.readTopic(ctx)
	if err != nil {
		return err
	}
	answers := []struct {
		name string
		rows map[DayKey]Revenue
	}{{"SQL", want}, {"the topic " + revenue.Name(), fromTopic}}
	if j.app != nil {
		fromStore, err := j.readStore()
		if err != nil {
			return err
		}
		answers = append(answers, struct {
			name string
			rows map[DayKey]Revenue
		}{"the store " + revenueRows.StoreName(), fromStore})
	}
	printRows(stdout, want)
	for _, a := range answers {
		var total Revenue
		for _, r := range a.rows {
			total.Items += r.Items
			total.Cents += r.Cents
		}
		fmt.Fprintf(stdout, "%-18s %6d customers' days, %7d items, %15.2f\n", a.name, len(a.rows), total.Items, float64(total.Cents)/100)
	}
	for _, a := range answers[1:] {
		if !maps.Equal(a.rows, want) {
			return fmt.Errorf("%s differs from SQL%s", a.name, firstDifference(a.rows, want))
		}
	}
	fmt.Fprintln(stdout, "All answers are equal.")
	return nil
}

func firstDifference(got, want map[DayKey]Revenue) string {
	for k, w := range want {
		if g := got[k]; g != w {
			return fmt.Sprintf(": customer %d on %s has %+v, want %+v", k.Customer, k.Day, g, w)
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf(": customer %d (%s) on %s has %+v, which is not in the database", k.Customer, k.Name, k.Day, g)
		}
	}
	return ""
}

func printRows(w io.Writer, rows map[DayKey]Revenue) {
	days := slices.SortedFunc(maps.Keys(rows), func(a, b DayKey) int {
		return cmp.Or(cmp.Compare(rows[b].Cents, rows[a].Cents), cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Day, b.Day))
	})
	for _, d := range days[:min(mostShown, len(days))] {
		fmt.Fprintf(w, "%-20s %s %14.2f\n", d.Name, d.Day, float64(rows[d].Cents)/100)
	}
}

// readTopic is the answer as the revenue topic tells it.
func (j *job) readTopic(ctx context.Context) (map[DayKey]Revenue, error) {
	rows := make(map[DayKey]Revenue)
	err := place.ReadTopic(ctx, &j.where.Cluster, revenue.Name(), func(r *kgo.Record) error {
		k, err := revenue.KeySerde().Decode(r.Key)
		if err != nil {
			return err
		}
		if len(r.Value) == 0 {
			delete(rows, k)
			return nil
		}
		rows[k], err = revenue.ValueSerde().Decode(r.Value)
		return err
	})
	return rows, err
}

// readStore is the answer as the application's store has it.
func (j *job) readStore() (map[DayKey]Revenue, error) {
	view, err := runtime.Query(j.app, revenueRows)
	if err != nil {
		return nil, err
	}
	rows := make(map[DayKey]Revenue)
	for entry, err := range view.All() {
		if err != nil {
			return nil, err
		}
		if entry.Value.Items > 0 {
			rows[entry.Key] = entry.Value
		}
	}
	return rows, nil
}
