package crashtest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

const (
	defaultRounds = 2
	// killsPerRun bounds the kills of one run, so that bad luck cannot keep it from its end.
	killsPerRun = 10
	maxAlive    = 4 // instances at a time
)

// plan is the random side of a test: how many kills, and when.
type plan struct {
	rng    *rand.Rand
	rounds int
	kills  int // dealt out so far
}

func newPlan(t *testing.T) *plan {
	t.Helper()
	if testing.Short() {
		t.Skip("kills processes for many seconds; left out with -short")
	}
	seed, rounds := uint64(time.Now().UnixNano()), defaultRounds
	if text := os.Getenv("MILLRACE_CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MILLRACE_CRASH_SEED: %v", err)
		}
		seed = n
	}
	if text := os.Getenv("MILLRACE_CRASH_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("MILLRACE_CRASH_ROUNDS=%s: want a number of at least 1", text)
		}
		rounds = n
	}
	t.Logf("MILLRACE_CRASH_SEED=%d, %d kills", seed, rounds)
	return &plan{rng: rand.New(rand.NewPCG(seed, 0)), rounds: rounds}
}

// moment is a random time within a span.
func (p *plan) moment(span time.Duration) time.Duration {
	return time.Duration(p.rng.Int64N(int64(span)))
}

// more tells whether kills are left to deal out, in a run that had n so far.
func (p *plan) more(n int) bool { return p.kills < p.rounds && n < killsPerRun }

func equalsDirectCount(t *testing.T, p *proctest.Process) {
	t.Helper()
	if !strings.Contains(p.Stdout.String(), "equals a direct count") {
		t.Errorf("the result does not tell that it equals a direct count:\n%s\n%s", p.Stdout, p.Stderr)
	}
}

func TestKilledProcessCountsEveryWordOnce(t *testing.T) {
	p := newPlan(t)
	text := newCorpus(t, p.rng)
	proctest.Launch(t, "wordcount", "--help").Succeeded(t) // what is built is not measured
	// An unharmed run says how long one takes, and so when kills hit it.
	began, dir := time.Now(), t.TempDir()
	whole := proctest.Launch(t, "wordcount", "--data", dir, text.dir)
	whole.Succeeded(t)
	equalsDirectCount(t, whole)
	span := time.Since(began)
	judgeDirectory(t, dir, text)
	for p.kills < p.rounds {
		dir := t.TempDir()
		for n := 0; ; n++ {
			run := proctest.Launch(t, "wordcount", "--data", dir, text.dir)
			if p.more(n) && !run.WaitFor(p.moment(span)) {
				run.Kill()
				p.kills++
				continue
			}
			run.Succeeded(t)
			equalsDirectCount(t, run)
			break
		}
		judgeDirectory(t, dir, text)
	}
}

func TestKilledBrokerLosesNothing(t *testing.T) {
	p := newPlan(t)
	text := newCorpus(t, p.rng)
	for p.kills < p.rounds {
		logDir, stateDir := t.TempDir(), t.TempDir()
		server, address := proctest.Broker(t, logDir, "")
		run := proctest.Launch(t, "wordcount", "--brokers", address, "--data", stateDir, text.dir)
		n := 0
		for ; p.more(n) && !run.WaitFor(p.moment(2*time.Second)); n++ {
			server.Kill()
			p.kills++
			if p.rng.IntN(3) == 0 { // sometimes everything goes at once
				run.Kill()
				run = proctest.Launch(t, "wordcount", "--brokers", address, "--data", stateDir, text.dir)
			}
			server, _ = proctest.Broker(t, logDir, address)
		}
		run.Succeeded(t)
		equalsDirectCount(t, run)
		judge(t, text, kgo.SeedBrokers(address))
		server.Signal(syscall.SIGTERM)
		server.Succeeded(t)
	}
}

func TestInstancesComeAndGo(t *testing.T) {
	p := newPlan(t)
	text := newCorpus(t, p.rng)
	for p.kills < p.rounds {
		server, address := proctest.Broker(t, t.TempDir(), "")
		group := &instances{t: t, states: t.TempDir(), args: []string{"--brokers", address, "--partitions", "6", text.dir}}
		group.start()
		group.start()
		for n := 0; p.more(n) && !group.waitForOne(p.moment(2*time.Second)); n++ {
			group.change(p)
		}
		for _, run := range group.alive {
			run.Succeeded(t)
			equalsDirectCount(t, run)
		}
		judge(t, text, kgo.SeedBrokers(address))
		server.Signal(syscall.SIGTERM)
		server.Succeeded(t)
	}
}

// instances are word counts that share their work.
type instances struct {
	t      *testing.T
	states string // each slot has a directory of its own in it, which its next process finds again
	args   []string
	alive  map[int]*proctest.Process // by slot
}

func (g *instances) start() {
	if g.alive == nil {
		g.alive = map[int]*proctest.Process{}
	}
	for slot := range maxAlive {
		if g.alive[slot] == nil {
			state := filepath.Join(g.states, strconv.Itoa(slot))
			g.alive[slot] = proctest.Launch(g.t, "wordcount", append([]string{"--data", state}, g.args...)...)
			return
		}
	}
}

// waitForOne returns true when an instance has ended by itself within d: then all is counted.
func (g *instances) waitForOne(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended := make(chan struct{}, maxAlive)
	for _, run := range g.alive {
		go func() {
			<-run.Exited
			ended <- struct{}{}
		}()
	}
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// change lets an instance come or go; at least two stay, at most four.
func (g *instances) change(p *plan) {
	if len(g.alive) == 2 || len(g.alive) < maxAlive && p.rng.IntN(2) == 0 {
		g.start()
		return
	}
	p.kills++
	slot := p.rng.IntN(maxAlive)
	for g.alive[slot] == nil {
		slot = (slot + 1) % maxAlive
	}
	run := g.alive[slot]
	delete(g.alive, slot)
	if p.rng.IntN(2) == 0 {
		run.Signal(syscall.SIGTERM)
	} else {
		run.Signal(syscall.SIGKILL)
	}
	run.Stopped(g.t)
}
