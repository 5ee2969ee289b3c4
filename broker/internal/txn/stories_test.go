package txn

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestStories plays the scripts of testdata. A line of the answer that begins with the id's name is a record written.
//
//	init x [as=PID/EPOCH] [timeout=30s]     add x as=PID/EPOCH [v1] t/0 t/1     verify x as=PID/EPOCH t/0
//	end x as=PID/EPOCH commit|abort [v1]    written x as=PID/EPOCH t/0          settle
//	advance 10s, tick, crash                state, debts, deadline              epoch x N (puts the log there)
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld(t, Config{MaxTimeout: time.Minute, IDExpiration: time.Hour})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			return w.story(d)
		})
	})
}

func (w *world) story(d *datadriven.TestData) string {
	var out strings.Builder
	for line := range strings.Lines(d.Cmd + " " + cmdArgs(d) + "\n" + d.Input) {
		if line = strings.TrimSpace(line); line != "" {
			w.line(&out, strings.Fields(line))
		}
	}
	return out.String()
}

func cmdArgs(d *datadriven.TestData) string {
	var args []string
	for _, a := range d.CmdArgs {
		args = append(args, a.String())
	}
	return strings.Join(args, " ")
}

func (w *world) line(out *strings.Builder, f []string) {
	q := parse(w, f[1:])
	switch f[0] {
	case "init":
		w.say(out, w.c.InitProducerID(w.now, InitRequest{ID: q.id, Timeout: q.timeout, Expected: q.as}))
	case "add":
		w.say(out, w.c.AddPartitions(w.now, AddRequest{ID: q.id, Identity: q.as, Partitions: q.tps, Protocol: q.protocol}))
	case "verify":
		errs, step := w.c.VerifyPartitions(AddRequest{ID: q.id, Identity: q.as, Partitions: q.tps})
		for i, err := range errs {
			fmt.Fprintf(out, "%s/%d %s\n", q.tps[i].Topic, q.tps[i].Partition, name(err))
		}
		if errs == nil {
			w.say(out, step)
		}
	case "end":
		w.say(out, w.c.EndTxn(w.now, EndRequest{ID: q.id, Identity: q.as, Commit: q.commit, Protocol: q.protocol}))
	case "written":
		w.say(out, w.c.MarkersWritten(w.now, q.id, q.as, q.tps))
	case "settle":
		for _, m := range w.settle() {
			fmt.Fprintf(out, "%s: %s\n", m.TransactionalID, showMarkers(m))
		}
	case "advance":
		d, err := time.ParseDuration(q.id)
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(d)
	case "tick":
		w.say(out, w.c.Tick(w.now))
	case "crash":
		w.crash()
	case "state":
		for _, t := range w.c.All() {
			fmt.Fprintf(out, "%s: %s\n", t.ID, show(t))
		}
	case "debts":
		for _, m := range w.c.Debts() {
			fmt.Fprintf(out, "%s: %s\n", m.TransactionalID, showMarkers(m))
		}
	case "ids":
		w.noIDs = nil
		if q.id == "off" {
			w.noIDs = errors.New("no controller")
		}
	case "epoch":
		t, _ := w.c.Get(q.id)
		next := *t
		next.Epoch, next.Last = Epoch(q.number), NoEpoch
		ch := Change{q.id, &next}
		w.log = append(w.log, ch.Record())
		w.c.ApplyChange(ch)
	default:
		w.t.Fatalf("unknown command %q", f[0])
	}
}

func (w *world) say(out *strings.Builder, step Step) {
	for _, ch := range step.Changes {
		fmt.Fprintf(out, "%s: %s\n", ch.ID, show(ch.Next))
	}
	r := w.take(step)
	switch {
	case step.Wait:
		fmt.Fprintf(out, "%s, waits\n", name(r.Err))
	case r.Err != nil:
		fmt.Fprintf(out, "%s\n", name(r.Err))
	case r.Identity == None || r.Identity == Identity{}:
		fmt.Fprintf(out, "ok\n")
	default:
		fmt.Fprintf(out, "ok %d/%d\n", r.Identity.ProducerID, r.Identity.Epoch)
	}
	for _, ch := range step.Changes {
		if m, ok := w.c.Debt(ch.ID); ok {
			fmt.Fprintf(out, "owes %s\n", showMarkers(m))
		}
	}
}

func name(err error) string {
	if err == nil {
		return "ok"
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Message
	}
	return err.Error()
}

type query struct {
	id       string
	as       Identity
	timeout  time.Duration
	tps      []TopicPartition
	protocol Protocol
	commit   bool
	number   int
}

func parse(w *world, args []string) query {
	q := query{as: None, timeout: 30 * time.Second, protocol: V2, number: math.MinInt}
	for i, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch {
		case i == 0:
			q.id = strings.Trim(a, `"`)
		case key == "as":
			fmt.Sscanf(value, "%d/%d", &q.as.ProducerID, &q.as.Epoch)
		case key == "timeout":
			d, err := time.ParseDuration(value)
			if err != nil {
				w.t.Fatal(err)
			}
			q.timeout = d
		case a == "v1":
			q.protocol = V1
		case a == "commit":
			q.commit = true
		case a == "abort":
		case strings.Contains(a, "/"):
			q.tps = append(q.tps, partitions(a)...)
		default:
			if _, err := fmt.Sscan(a, &q.number); err != nil {
				w.t.Fatalf("argument %q: %v", a, err)
			}
		}
	}
	return q
}
