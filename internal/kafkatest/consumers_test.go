package kafkatest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

// verifiable is one of Kafka's VerifiableConsumers at work: a Java consumer that tells what it is given, reads and commits.
type verifiable struct {
	name string
	cmd  *exec.Cmd
	log  *history
	done chan struct{}
}

// history is what several consumers told, in the order in which it was heard.
type history struct {
	mu    sync.Mutex
	owns  map[string]map[string]bool // by consumer: topic-partition
	read  map[string]int             // by topic-partition@offset: how often
	last  []string
	heard chan struct{} // holds one when something was heard since the last look
}

func newHistory() *history {
	return &history{owns: map[string]map[string]bool{}, read: map[string]int{}, heard: make(chan struct{}, 1)}
}

// told is a line of a VerifiableConsumer.
type told struct {
	Name       string `json:"name"`
	Partitions []struct {
		Topic                string
		Partition            int
		MinOffset, MaxOffset int64
	}
}

// consumer starts a VerifiableConsumer with a group protocol.
func consumer(t *testing.T, h *history, name, address, group, topic, protocol string) *verifiable {
	t.Helper()
	cmd := exec.Command("./kafka", "run", "org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", address, "--topic", topic, "--group-id", group,
		"--group-protocol", protocol, "--reset-policy", "earliest", "--verbose")
	if protocol == "classic" {
		cmd.Args = append(cmd.Args, "--session-timeout", "30000")
	}
	var stderr tail
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &verifiable{name: name, cmd: cmd, log: h, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			h.hear(name, lines.Text())
		}
		_ = cmd.Wait() // it ends by a signal
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-v.done
		if t.Failed() {
			t.Logf("%s wrote to standard error:\n%s", name, stderr.text)
		}
	})
	return v
}

// stop lets the consumer leave its group.
func (v *verifiable) stop(t *testing.T) {
	t.Helper()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-v.done:
	case <-time.After(toolPatience):
		t.Fatalf("%s does not end", v.name)
	}
	v.log.mu.Lock()
	delete(v.log.owns, v.name)
	v.log.mu.Unlock()
}

func (h *history) hear(name, line string) {
	var e told
	if json.Unmarshal([]byte(line), &e) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Name != "records_consumed" && e.Name != "record_data" {
		h.last = append(h.last, name+": "+line)
	}
	owns := h.owns[name]
	if owns == nil {
		owns = map[string]bool{}
		h.owns[name] = owns
	}
	for _, p := range e.Partitions {
		at := fmt.Sprintf("%s-%d", p.Topic, p.Partition)
		switch e.Name {
		case "partitions_assigned":
			owns[at] = true
		case "partitions_revoked":
			delete(owns, at)
		case "records_consumed":
			for o := p.MinOffset; o <= p.MaxOffset; o++ {
				h.read[fmt.Sprintf("%s@%d", at, o)]++
			}
		}
	}
	select {
	case h.heard <- struct{}{}:
	default:
	}
}

// until waits for what the consumers tell.
func (h *history) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.NewTimer(toolPatience)
	defer late.Stop()
	for {
		h.mu.Lock()
		done := ok()
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-h.heard:
		case <-late.C:
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("%s: not within %v. They own %v and told:\n%s", what, toolPatience, h.owns, strings.Join(h.last, "\n"))
		}
	}
}

// share waits until every consumer owns so many partitions.
func (h *history) share(t *testing.T, counts map[string]int) {
	t.Helper()
	h.until(t, fmt.Sprintf("the partitions are shared as %v", counts), func() bool {
		for name, n := range counts {
			if len(h.owns[name]) != n {
				return false
			}
		}
		return true
	})
}

// flow produces records into every partition of a topic, one after the other, until the returned function is called, which tells how
// many there are.
func flow(t *testing.T, address, topic string, partitions int32) (stop func() (written map[string]int)) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	end, written := make(chan struct{}), make(chan map[string]int, 1)
	go func() {
		defer cl.Close()
		counts := map[string]int{}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := int32(0); ; n++ {
			select {
			case <-end:
				written <- counts
				return
			case <-tick.C:
			}
			r := &kgo.Record{Topic: topic, Partition: n % partitions, Value: []byte("a record")}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				written <- nil
				return
			}
			counts[fmt.Sprintf("%s-%d", topic, r.Partition)]++
		}
	}()
	return func() map[string]int {
		close(end)
		return <-written
	}
}

// complete waits until everything that was written was read.
func (h *history) complete(t *testing.T, written map[string]int) {
	t.Helper()
	if len(written) == 0 {
		t.Fatal("nothing could be written")
	}
	h.until(t, fmt.Sprintf("all of %v is read", written), func() bool {
		for at, n := range written {
			for o := range n {
				if h.read[fmt.Sprintf("%s@%d", at, o)] == 0 {
					return false
				}
			}
		}
		return true
	})
}

func TestJavaConsumersOfTheConsumerProtocol(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	tool(t, address, topicCommand, "--create", "--topic", "orders", "--partitions", "4")
	stop := flow(t, address, "orders", 4)
	h := newHistory()
	one := consumer(t, h, "one", address, "readers", "orders", "consumer")
	h.share(t, map[string]int{"one": 4})
	consumer(t, h, "two", address, "readers", "orders", "consumer")
	h.share(t, map[string]int{"one": 2, "two": 2})

	holds(t, tool(t, address, groupCommand, "--list", "--state", "--type"), "readers", "Consumer", "Stable")
	holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers", "--state", "--verbose"), "uniform", "Stable", "2")
	holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers", "--members", "--verbose"), "CURRENT-EPOCH", "TARGET-EPOCH", "orders:")
	holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers"), "orders")
	holds(t, tool(t, address, groupCommand, "--group", "readers", "--delete"), "GroupNotEmptyException")

	tool(t, address, topicCommand, "--alter", "--topic", "orders", "--partitions", "6")
	h.share(t, map[string]int{"one": 3, "two": 3})
	one.stop(t)
	h.share(t, map[string]int{"two": 6})
	h.complete(t, stop())
}

func TestGroupsChangeTheirProtocolWhileRecordsFlow(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: three Java consumers come and go, one after the other")
	}
	needs(t, "java", "mvn")
	dir := t.TempDir()
	server, address := proctest.Broker(t, dir, "", "--set", "group.initial.rebalance.delay.ms=0")
	tool(t, address, topicCommand, "--create", "--topic", "orders", "--partitions", "4")
	stop := flow(t, address, "orders", 4)
	h := newHistory()
	old := consumer(t, h, "old", address, "readers", "orders", "classic")
	h.share(t, map[string]int{"old": 4})
	holds(t, tool(t, address, groupCommand, "--list", "--type"), "Classic")

	// One of the new protocol joins, and the group is a consumer group with a member of each.
	fresh := consumer(t, h, "fresh", address, "readers", "orders", "consumer")
	h.share(t, map[string]int{"old": 2, "fresh": 2})
	holds(t, tool(t, address, groupCommand, "--list", "--type"), "Consumer")
	holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers", "--members", "--verbose"), "UPGRADED", "true", "false")
	old.stop(t)
	h.share(t, map[string]int{"fresh": 4})

	// And back: an old one joins, and the last of the new ones leaves.
	older := consumer(t, h, "older", address, "readers", "orders", "classic")
	h.share(t, map[string]int{"fresh": 2, "older": 2})
	fresh.stop(t)
	h.share(t, map[string]int{"older": 4})
	holds(t, tool(t, address, groupCommand, "--list", "--type"), "Classic")
	h.complete(t, stop())
	older.stop(t)

	// Kafka reads every record that all this left in the log.
	offsets := topicDirs(t, address, dir, "__consumer_offsets")
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	var logs []string
	for _, d := range offsets {
		logs = append(logs, files(t, d, ".log")...)
	}
	text := dump(t, logs, "--offsets-decoder")
	holds(t, text, `"groupId":"readers"`, `"subscribedTopicNames":["orders"]`, `"supportedProtocols":[{"name":"range"`, `"assignmentEpoch":`, `"assignmentTimestamp":`,
		`"metadataHash":`, `"memberEpoch":`, `"assignmentEpochs":`, `"partitionsPendingRevocation":[{`, `payload: <DELETE>`)
	lacks(t, text, "isvalid: false")
}

func TestJavaConsumersLeavePatternsToTheServer(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	for _, topic := range []string{"orders-eu", "orders-us", "reorders-us"} {
		tool(t, address, topicCommand, "--create", "--topic", topic, "--partitions", "1")
		cl, err := kgo.NewClient(kgo.SeedBrokers(address))
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("a record")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	holds(t, script(t, "run", "testdata/PatternConsumer.java", address, "readers", "orders-.*", "2"), "read from [orders-eu, orders-us]")
	holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers"), "orders-eu", "orders-us")
	holds(t, script(t, "run", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", "reorders-us", "--from-beginning",
		"--max-messages", "1", "--group", "console", "--command-property", "group.protocol=consumer"), "a record")
	holds(t, tool(t, address, groupCommand, "--list", "--type"), "console", "Consumer")
	holds(t, script(t, "run", "testdata/PatternConsumer.java", address, "others", "orders-(", "1"), "InvalidRegularExpression", "missing closing )")
}
