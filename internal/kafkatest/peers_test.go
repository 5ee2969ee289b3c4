package kafkatest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

func TestMain(m *testing.M) {
	code := proctest.Main(m)
	tools.close()
	os.Exit(code)
}

// needs skips a test unless peers are asked for, and then fails it when one is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("MILLRACE_PEERS") != "1" {
		t.Skipf("left out, since MILLRACE_PEERS=1 is not set: this test needs %v", programs)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("MILLRACE_PEERS=1 is set, but %s is not installed: %v", p, err)
		}
	}
}

// script runs the kafka script beside this file and returns what it wrote to standard output.
func script(t *testing.T, args ...string) string {
	t.Helper()
	return scriptWith(t, "", args...)
}

// scriptWith runs the script with an input.
func scriptWith(t *testing.T, input string, args ...string) string {
	t.Helper()
	return scriptContext(t.Context(), t, input, args...)
}

// scriptContext runs the script until it ends by itself or ctx does.
func scriptContext(ctx context.Context, t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "./kafka", args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kafka %v: %v\n%s%s", args, err, out, stderr.text)
	}
	return string(out)
}

// tail keeps the first part of what is written to it.
type tail struct{ text []byte }

const tailBytes = 8 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), tailBytes-len(w.text))]...)
	return len(p), nil
}

// startKafka runs Apache Kafka until the end of the test and returns its address.
func startKafka(t *testing.T) string {
	t.Helper()
	return startKafkaIn(t, t.TempDir())
}

// startKafkaIn runs Apache Kafka with its data below dir.
func startKafkaIn(t *testing.T, dir string) string {
	t.Helper()
	t.Cleanup(func() {
		if out, err := exec.Command("./kafka", "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("kafka stop: %v\n%s", err, out)
		}
	})
	port := freePorts(t)
	script(t, "start", dir, fmt.Sprint(port))
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// freePorts returns a port that is free, as the one behind it is: Kafka's controller takes that. Kafka cannot be given port 0, and starts seconds later: the ports lie below
// those that systems give to outgoing connections, one of which would take them meanwhile.
func freePorts(t *testing.T) int {
	t.Helper()
	const first, ports, tries = 20_000, 10_000, 100
	for range tries {
		port := first + 2*rand.IntN(ports/2)
		if free(port) && free(port+1) {
			return port
		}
	}
	t.Fatalf("no two free ports in %d tries", tries)
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// text writes a small text and returns its file and the counts of its words.
func text(t *testing.T) (string, map[string]int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	counts := map[string]int64{}
	const lines = 2000
	for i := range lines {
		fmt.Fprintf(f, "All of line %d, and the rest\n", i)
		for _, word := range []string{"all", "of", "line", fmt.Sprint(i), "and", "the", "rest"} {
			counts[word]++
		}
	}
	return path, counts
}
