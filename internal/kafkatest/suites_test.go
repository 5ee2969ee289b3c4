package kafkatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// A suite is the tests of another project, a Go module whose archive brings them along. They run in a copy, so that the module's own requirements hold and ours stay
// as they are.
type suite struct {
	module, version string
	sum             string // of the archive, as go.sum writes it
	pkg             string
	flags           []string // of go test, for the package
	edits           []edit
	env             []string          // besides where the log server is
	address         string            // the environment variable for that
	must            []string          // tests that are worth nothing unless they ran
	fails           map[string]string // tests that cannot pass, each with the reason
}

// An edit is something that the copy has to have otherwise. The old text must be there, once.
type edit struct{ file, before, after string }

// moreChances is how often a test that failed is run again, alone. Suites have bounds on time, and races of their own, which a machine at work finds: goka's, for one,
// writes as soon as a processor runs, which begins to read at the end of its topic a moment later or earlier.
const moreChances = 3

func TestFranzGosOwnSuite(t *testing.T) {
	needs(t, "go")
	records := "50000"
	if testing.Short() {
		records = "5000"
	}
	suite{
		module: "github.com/twmb/franz-go", version: "v1.22.2", sum: "h1:EdwIHGzD/4mgCpl/sNS0C74JYn6cL/r2KYS+8UC96Ww=",
		pkg: "./pkg/kgo", address: "KGO_SEEDS",
		env:  []string{"KGO_TEST_RF=1", "KGO_TEST_RECORDS=" + records},
		must: []string{"TestGroupETL", "TestTxnEtl", "TestConsumeRegex"},
	}.run(t)
}

func TestGokasSystemTest(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: its tests wait for minutes, one after the other")
	}
	needs(t, "go")
	suite{
		module: "github.com/lovoo/goka", version: "v1.1.16", sum: "h1:jyjn0BcIR/wKt4vT8ppFJsm4D9mZ3aHQs+AUHvAC4+0=",
		pkg: "./systemtest", address: "GOKA_SYSTEMTEST_BROKERS",
		env: []string{"GOKA_SYSTEMTEST=y"},
		// goka asks for two copies of every topic; a single node has one.
		edits: []edit{
			{"topic_manager.go", "cfg.Table.Replication = 2", "cfg.Table.Replication = 1"},
			{"topic_manager.go", "cfg.Stream.Replication = 2", "cfg.Stream.Replication = 1"},
			{"systemtest/topicmanager_test.go", `tm.EnsureTopicExists("test10", 4, 2, nil)`, `tm.EnsureTopicExists("test10", 4, 1, nil)`},
		},
		must: []string{"TestHotStandby", "TestRebalance", "TestProcessorVisit", "TestView_Reconnect", "TestMessageCommit"},
		fails: map[string]string{
			"TestTopicManager_v11/ensure-new-stream": "it sends DescribeConfigs version 0, which Apache Kafka 4 does not serve any more: it closes the connection, and so do we",
		},
	}.run(t)
}

func (s suite) run(t *testing.T) {
	t.Helper()
	dir := s.checkout(t)
	var flags []string
	if testing.Short() { // a suite makes many groups, and each first join would wait three seconds
		flags = []string{"--set", "group.initial.rebalance.delay.ms=0"}
	}
	_, address := proctest.Broker(t, t.TempDir(), "", flags...)
	ran := s.test(t, dir, address)
	for _, name := range s.must {
		if _, ok := ran.action[name]; !ok || ran.action[name] == "skip" {
			t.Errorf("%s must run: %q", name, ran.action[name])
		}
	}
	t.Logf("%s %s %s: %d tests passed, %d failed, %d left out", s.module, s.version, s.pkg, ran.count("pass"), ran.count("fail"), ran.count("skip"))
	for name, reason := range s.fails {
		if ran.action[name] == "pass" {
			t.Errorf("%s passes: take it off the list, which says that %s", name, reason)
		}
	}
	for name, action := range ran.action {
		if action != "fail" || strings.Contains(name, "/") || s.mayFail(name) {
			continue
		}
		s.again(t, dir, address, name, ran)
	}
	for name, action := range ran.action {
		if top, _, part := strings.Cut(name, "/"); part && action == "fail" && s.mayFail(top) && !s.mayFail(name) {
			t.Errorf("%s failed:\n%s", name, ran.output[name])
		}
	}
}

// again runs a test that failed alone, until it passes or has had its chances.
func (s suite) again(t *testing.T, dir, address, name string, last outcome) {
	t.Helper()
	for range moreChances {
		t.Logf("%s failed, and gets another chance alone:\n%s", name, last.failure(name))
		if last = s.test(t, dir, address, "-run", "^"+name+"$"); last.action[name] == "pass" {
			return
		}
	}
	t.Errorf("%s failed %d times:\n%s", name, 1+moreChances, last.failure(name))
}

// test runs tests of the copy in dir. A suite that hangs says where before the limit of our own tests is reached.
func (s suite) test(t *testing.T, dir, address string, flags ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"test", "-json", "-vet=off", "-count=1", "-timeout=10m"}, s.flags, flags, []string{s.pkg})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", s.address+"="+address)
	cmd.Env = append(cmd.Env, s.env...)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output() // the exit code says no more than the events do
	o := results(t, out)
	if len(o.action) == 0 {
		t.Fatalf("%s ran no test: %v\n%s%s", s.module, err, out, stderr.text)
	}
	return o
}

// mayFail is true for a test on the list, and for the one that it is a part of.
func (s suite) mayFail(test string) bool {
	for name := range s.fails {
		if name == test || strings.HasPrefix(name, test+"/") {
			return true
		}
	}
	return false
}

// checkout copies the module out of the module cache and makes the edits.
func (s suite) checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", s.module+"@"+s.version)
	cmd.Dir = dir // outside of our module: what is downloaded here must not become a requirement
	out, err := cmd.Output()
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &module); err != nil || jsonErr != nil {
		t.Fatalf("download %s@%s: %v, %v\n%s", s.module, s.version, err, jsonErr, out)
	}
	if module.Sum != s.sum {
		t.Fatalf("%s@%s has the sum %s, want %s", s.module, s.version, module.Sum, s.sum)
	}
	dir = filepath.Join(dir, "module")
	if err := os.CopyFS(dir, os.DirFS(module.Dir)); err != nil { // the copy may be written to, which the cache may not
		t.Fatal(err)
	}
	for _, e := range s.edits {
		e.make(t, dir)
	}
	return dir
}

func (e edit) make(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, e.file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(e.before)); n != 1 {
		t.Fatalf("%s holds %q %d times, want once", e.file, e.before, n)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(e.before), []byte(e.after), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// outcome is what became of the tests of a suite.
type outcome struct {
	action map[string]string // pass, fail or skip by test
	output map[string]string // the last lines of each test that failed
}

func (o outcome) count(action string) int {
	n := 0
	for _, a := range o.action {
		if a == action {
			n++
		}
	}
	return n
}

// failure is what a test wrote, and those of its parts that failed.
func (o outcome) failure(test string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.action)) {
		if name == test || strings.HasPrefix(name, test+"/") && o.action[name] == "fail" {
			text.WriteString(o.output[name])
		}
	}
	return text.String()
}

// results reads the events of go test -json.
func results(t *testing.T, events []byte) outcome {
	t.Helper()
	o := outcome{action: map[string]string{}, output: map[string]string{}}
	lines := map[string][]string{}
	for line := range bytes.Lines(events) {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("go test wrote %q, which is no event: %v", line, err)
		}
		switch {
		case e.Test == "": // the package, which fails when a test of it does
		case e.Action == "output":
			lines[e.Test] = append(lines[e.Test], e.Output)
		case slices.Contains([]string{"pass", "fail", "skip"}, e.Action):
			o.action[e.Test] = e.Action
			o.output[e.Test] = lastLines(lines[e.Test])
			delete(lines, e.Test)
		}
	}
	// A panic or the time limit ends a package without a word on the tests under way.
	for name, l := range lines {
		o.action[name], o.output[name] = "fail", lastLines(l)
	}
	return o
}

func lastLines(lines []string) string {
	const most = 60
	if n := len(lines); n > most {
		return fmt.Sprintf("(%d lines before these)\n", n-most) + strings.Join(lines[n-most:], "")
	}
	return strings.Join(lines, "")
}
