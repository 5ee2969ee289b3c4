package losstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/proctest"
)

const (
	defaultKills = 2
	// killWithin is the time after the clients' progress within which the server is taken away.
	killWithin = 400 * time.Millisecond
	// twiceOneIn restarts are killed before they are ready, or shortly after.
	twiceOneIn = 8
	earlyKill  = 60 * time.Millisecond
	// wholeAuditEvery rounds everything is read, not only what is new.
	wholeAuditEvery = 50
)

// rounds reads a count from the environment.
func rounds(t *testing.T, variable string, unset int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return unset
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s: want a number", variable, text)
	}
	return n
}

// newRand makes the random side of a test. A run whose seed is set chooses the same; what the machine makes of it differs.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MILLRACE_LOSS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MILLRACE_LOSS_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("MILLRACE_LOSS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// flags of a server in a flush mode: small internal topics, and checkpoints often enough for recovery points to matter.
func flags(flush string) []string {
	return []string{
		"--flush", flush, "--set", "offsets.topic.num.partitions=3", "--set", "transaction.state.log.num.partitions=3",
		"--set", "log.flush.offset.checkpoint.interval.ms=700", "--set", "group.initial.rebalance.delay.ms=0",
	}
}

// createTopics makes the load's topics, with segments that end soon.
func createTopics(t *testing.T, l *ledger, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), auditTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, topic := range topics {
		_, err := kadm.NewClient(cl).CreateTopic(ctx, writers, 1, map[string]*string{"segment.bytes": kmsg.StringPtr("1048576")}, l.name(topic))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledBrokerKeepsEveryPromise(t *testing.T) { // L1-L4, G3, G4, T1-T4, T6, T7, T9
	if testing.Short() {
		t.Skip("kills processes for many seconds; left out with -short")
	}
	n := rounds(t, "MILLRACE_KILL_ROUNDS", defaultKills)
	for _, flush := range []string{"always", "os"} {
		t.Run("flush="+flush, func(t *testing.T) { killRounds(t, n, flush) })
	}
}

func killRounds(t *testing.T, n int, flush string) {
	rng := newRand(t)
	dir := t.TempDir()
	_, summary := outlive(t, n, dir, flush, rng, func(server *proctest.Process, addr string) {
		moment(rng, killWithin, server)
		server.Kill()
		if rng.IntN(twiceOneIn) == 0 {
			early := proctest.Launch(t, "millrace", append([]string{"broker", "--data", dir, "--listen", addr}, flags(flush)...)...)
			moment(rng, earlyKill, early)
			early.Kill()
			sane(t, early)
		}
	})
	t.Logf("%d kills: %s", n, summary)
}

// outlive puts a server under load and lets end take it away n times, each with an audit after the restart. It returns the last server and what was written.
func outlive(t *testing.T, n int, dir, flush string, rng *rand.Rand, end func(server *proctest.Process, addr string)) (*proctest.Process, string) {
	t.Helper()
	server, addr := proctest.Broker(t, dir, "", flags(flush)...)
	l := newLedger(t, "")
	createTopics(t, l, addr)
	w := startLoad(l, addr, rng)
	a := newAuditor(l, addr)
	l.awaitStep(w.names)
	for round := range n {
		end(server, addr)
		sane(t, server)
		server, _ = proctest.Broker(t, dir, addr, flags(flush)...)
		if round%wholeAuditEvery == wholeAuditEvery-1 {
			a = newAuditor(l, addr)
		}
		a.run()
		if t.Failed() {
			t.Fatalf("round %d; the server wrote:\n%s", round, server.Stderr)
		}
		l.awaitStep(w.names)
	}
	w.finish()
	a.final(t)
	sane(t, server)
	return server, l.summary()
}

// moment waits for a random time, or less when the server ends by itself.
func moment(rng *rand.Rand, within time.Duration, server *proctest.Process) {
	server.WaitFor(time.Duration(rng.Int64N(int64(within))))
}

// sane fails the test when a server wrote of an error: being killed is none.
func sane(t *testing.T, server *proctest.Process) {
	t.Helper()
	lacks(t, server, "level=ERROR", "panic")
}

// lacks fails the test when a server wrote one of the texts.
func lacks(t *testing.T, server *proctest.Process, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(server.Stderr.String(), text) {
			t.Fatalf("the server wrote: %s", fmt.Sprint(server.Stderr))
		}
	}
}
