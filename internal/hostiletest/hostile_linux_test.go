package hostiletest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

// How many there are of each kind. MILLRACE_HOSTILE_IDLERS sets the first.
const (
	rounds        = 3 // of measuring without and with them
	defaultIdlers = 500
	halves        = 200
	babblers      = 50
	mutes         = 40

	babblePace = 100 * time.Millisecond // between two connections of a babbler
	bulk       = 32 << 20               // bytes that the mute ask for
	ours       = 300                    // file descriptors that the test and the server need besides
)

// What the server may take, by kind. The last is for what the collector and the workers make of it.
const (
	perIdler   = 12 << 10
	perHalf    = 64 << 10
	perBabbler = 64 << 10
	perMute    = 1 << 20
	slack      = 128 << 20
)

// fitting is how many idle clients there are, as far as the limit of open files leaves room for them, here and in the server, which inherits it.
func fitting(t *testing.T) int {
	t.Helper()
	idlers := int64(defaultIdlers)
	if text := os.Getenv("MILLRACE_HOSTILE_IDLERS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			t.Fatalf("MILLRACE_HOSTILE_IDLERS=%s: want a number", text)
		}
		idlers = n
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	room := int64(min(limit.Max, 1<<20)) - halves - mutes - 2*babblers - ours
	if room < idlers {
		t.Logf("the limit of %d open files leaves room for %d idle clients of %d", limit.Max, room, idlers)
	}
	return int(max(min(room, idlers), 0))
}

func TestHostileClientsHarmNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; left out with -short")
	}
	idle := fitting(t)
	server, address := proctest.Broker(t, t.TempDir(), "", "--set", "max.connections.per.ip=10000")
	fill(t, address)
	all := newWorkers(t, address)
	work(t, all) // makes topics and connections
	seed := rand.Uint64()
	t.Logf("seed %d; %d idle clients, %d halves of frames, %d mute, %d babbling", seed, idle, halves, mutes, babblers)
	before := server.ResidentBytes(t)
	var ratios []float64
	for range rounds {
		quiet := measure(t, server, all)
		leave := gather(t, address, idle, seed)
		beside := measure(t, server, all)
		after := server.ResidentBytes(t)
		leave()
		ratios = append(ratios, float64(beside.p99)/float64(quiet.p99))
		t.Logf("99 of 100 trips take at most %v alone and %v beside the others (%.2f times); the server's processor time for each is %v and %v; it takes %d MiB and %d MiB",
			quiet.p99, beside.p99, ratios[len(ratios)-1], quiet.processor, beside.processor, before>>20, after>>20)
		if limit := before + slack + int64(idle*perIdler+halves*perHalf+babblers*perBabbler+mutes*perMute); after > limit {
			t.Errorf("the server takes %d MiB, allowed are %d MiB", after>>20, limit>>20)
		}
	}
	slices.Sort(ratios)
	t.Logf("p99 beside the others / p99 alone: %.2f (the median of %d rounds)", ratios[len(ratios)/2], len(ratios))
	work(t, all)
	if text := server.Stderr.String(); strings.Contains(text, "panic") || strings.Count(text, "\n") > 100 {
		t.Errorf("the server wrote: %.5000s", text)
	}
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
}

// measured is what one phase of work took.
type measured struct {
	p99       time.Duration
	processor time.Duration // of the server, for each trip
}

func measure(t *testing.T, server *proctest.Process, all []*worker) measured {
	t.Helper()
	before := server.ProcessorTime(t)
	p99 := work(t, all)
	return measured{p99, (server.ProcessorTime(t) - before) / (workers * trips)}
}

// fill makes a topic that is worth asking for.
func fill(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("bulk"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, "bulk"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 512<<10)
	var errs []error
	for range bulk / len(value) {
		errs = append(errs, cl.ProduceSync(ctx, kgo.SliceRecord(value)).FirstErr())
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
