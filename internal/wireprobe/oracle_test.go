package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// differences are the scenarios that our broker answers otherwise than Apache Kafka does, each with the reason. A scenario that is listed and passes
// fails the test: the list never says more than is true.
var differences = map[string]string{
	"fetch/cut-after-the-first-batch":               "a quirk: a piece of a batch is thrown away by whoever gets it; only whole batches are sent",
	"fetch/negative-limits":                         "a quirk: a negative limit is read as 0, so that one batch comes, not answered with UNKNOWN_SERVER_ERROR",
	"fetch/unknown-isolation-level":                 "a quirk: an unknown isolation level is the client's fault and answered with INVALID_REQUEST, not with UNKNOWN_SERVER_ERROR",
	"offsets/max-timestamp-of-what-is-left":         "a quirk: Kafka names a record that DeleteRecords took away; here it is the latest of those that can be fetched",
	"produce/delete-horizon-from-client":            "a quirk: only compaction sets a delete horizon; in a client's batch it would turn the time its records are counted from into a time to drop them",
	"produce/deltas-inside-compressed":              "a quirk: offset deltas that disagree with the head are the client's fault and answered with INVALID_RECORD, not with UNKNOWN_SERVER_ERROR",
	"produce/record-length-wrong-inside-compressed": "a quirk: Kafka does not look; a record whose length disagrees with its fields stops readers that do, and is refused as it is uncompressed",
	"topics/colliding-in-one-request":               "a quirk: names that collide are refused in one request as they are in two",
	"configs/alter-unknown-operation":               "a quirk: an unknown operation is the client's fault and answered with INVALID_REQUEST, not with UNKNOWN_SERVER_ERROR",
	"produce/null-records":                          "a quirk: Kafka never answers; here null records are INVALID_RECORD, as an empty record set is",
	"produce/transactional-without-producer-id":     "a quirk: no coordinator could end the transaction of a batch that names no producer; it is refused with INVALID_RECORD",
	"produce/unknown-magic-beside-good":             "a quirk: the fault of one partition's records is that partition's alone, and what is good beside it is written",
	"produce/offset-deltas-not-consecutive":         "a quirk: Kafka does not look; a batch whose offset deltas disagree with its head would confuse every reader and is refused",
}

// later are scenarios that nobody has to answer yet, and that are answered all the same.
var later = map[string]bool{"quorum/describe": true, "markers/unknown-producer": true,
	"quotas/describe-and-alter": true, "scram/alter-and-describe": true}

func TestAnswersAreThoseOfApacheKafka(t *testing.T) {
	files, err := load([]string{"testdata"})
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"base", "tight"} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			cl, err := discover(serve(t, config))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				for _, sc := range f.scenarios {
					if sc.config() == config && sc.need("brokers", "1") == "1" && (!sc.hasTag("later") || later[sc.name]) {
						t.Run(sc.name, func(t *testing.T) { judge(t, sc.name, checkScenario(cl, sc)) })
					}
				}
			}
		})
	}
}

// judge holds the differences of a scenario, none being empty, against the list.
func judge(t *testing.T, name, report string) {
	t.Helper()
	reason, listed := differences[name]
	switch {
	case report != "" && !listed:
		t.Errorf("the answers differ:\n%s", report)
	case report == "" && listed:
		t.Errorf("the scenario passes but is listed as failing (%s): take it off the list", reason)
	}
}

// serve starts a broker in a configuration of testdata/profiles and returns its address.
func serve(t *testing.T, config string) string {
	t.Helper()
	server := &broker.Server{Config: broker.Config{Dir: t.TempDir(), Set: profile(t, config)}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		if err := <-served; !errors.Is(err, broker.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return ln.Addr().String()
}

// profile reads the settings of a configuration. Groups do not wait for more members, as on the servers that answered.
func profile(t *testing.T, config string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "profiles", config+".properties"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	set := map[string]string{"group.initial.rebalance.delay.ms": "0"}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok && !strings.HasPrefix(key, "#") {
			set[key] = value
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return set
}
