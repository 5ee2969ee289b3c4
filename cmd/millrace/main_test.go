package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/broker"
)

func TestUsageErrorsHaveTheirExitCode(t *testing.T) {
	for line, part := range map[string]string{
		"nosuch":                                `no command "nosuch"`,
		"topc list":                             "did you mean topic?",
		"topic delet x":                         "did you mean delete?",
		"topic create":                          "TOPIC is missing",
		"topic list x":                          `unexpected argument "x"`,
		"topic list --nosuch":                   "--nosuch",
		"topic list -o yaml":                    "text or json",
		"topic list --brokers=":                 "--brokers has an empty address",
		"topic list --brokers a:1,":             "--brokers has an empty address",
		"topic create x -p 0":                   "--partitions 0",
		"topic create x --config nonsense":      "KEY=VALUE",
		"topic produce x -z rar":                "--compression rar",
		"topic produce x -H nonsense":           "KEY:VALUE",
		"topic consume x -g g -e":               "--number",
		"topic consume x -n -1":                 "--number -1",
		"group describe":                        "GROUP is missing",
		"version -o yaml":                       "text or json",
		"broker":                                "--data is missing",
		"broker --data d --set nonsense":        "KEY=VALUE",
		"broker --data d --set no.such=1":       "no.such",
		"broker --data d --flush sometimes":     "sometimes",
		"dev --listen nowhere":                  "HOST:PORT",
		"dev --set log.retention.hours=a-while": "log.retention.hours",
	} {
		millrace(t, "", strings.Fields(line)...).expect(t, exitUsage).says(t, part, "Try: millrace")
	}
}

func TestNoBrokerSaysWhereAndWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close() // nobody listens there now
	for _, line := range []string{"topic list", "topic produce x", "topic consume x", "group list"} {
		millrace(t, "", append(strings.Fields(line), "--bootstrap-server", address)...).expect(t, exitFailed).says(t, address, "connection refused", "millrace dev", "--brokers")
	}
}

func TestServerThatSaysNothingIsGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time-out; left out with -short")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	millrace(t, "", "topic", "list", "--brokers", ln.Addr().String()).expect(t, exitFailed).says(t, ln.Addr().String(), "no answer within")
}

func TestVersion(t *testing.T) {
	said := millrace(t, "", "version").expect(t, exitDone, "millrace "+release)
	if flag := millrace(t, "", "--version").expect(t, exitDone); flag != said {
		t.Errorf("--version says %q, version %q", flag.stdout, said.stdout)
	}
	if v := decode[versionInfo](t, millrace(t, "", "version", "-o", "json")); v.Version != release || v.Go == "" {
		t.Errorf("%+v", v)
	}
}

func TestEveryCommandHasHelpAndExamples(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q, example %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for _, c := range cmd.Commands() {
			check(c)
		}
	}
	check(rootCommand())
}

// server runs dev or broker in the background.
type server struct {
	stop   context.CancelFunc
	done   chan int
	stdout *io.PipeReader
	stderr *bytes.Buffer // to be read after done
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	s := &server{stop: cancel, done: make(chan int, 1), stdout: out, stderr: &bytes.Buffer{}}
	go func() {
		s.done <- run(ctx, args, strings.NewReader(""), in, s.stderr)
		in.Close()
	}()
	t.Cleanup(cancel)
	return s
}

// text reads what the server says until part has come.
func (s *server) text(t *testing.T, part string) string {
	t.Helper()
	var text []byte
	buf := make([]byte, 1024)
	for !strings.Contains(string(text), part) {
		n, err := s.stdout.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			t.Fatalf("%v after %q\n%s", err, text, s.stderr)
		}
	}
	return string(text)
}

func (s *server) end(t *testing.T) {
	t.Helper()
	s.stop()
	if code := <-s.done; code != exitDone {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestDevSaysFiveLinesAndServes(t *testing.T) {
	s := startServer(t, "dev", "--listen", "127.0.0.1:0")
	text := s.text(t, "Ctrl-C\n")
	if n := strings.Count(text, "\n"); n != 5 {
		t.Errorf("%d lines, want 5:\n%s", n, text)
	}
	for _, part := range []string{"in memory", "Kafka   127.0.0.1:", "Try     ", "Count   go run ./examples/wordcount --brokers ", "Stop    Ctrl-C"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
	at := address.FindString(text)
	millrace(t, "hello\n", "topic", "produce", "hello", "--create", "--brokers", at).expect(t, exitDone)
	millrace(t, "", "topic", "consume", "hello", "-e", "--brokers", at).expect(t, exitDone, "hello\n")
	s.end(t)
}

func TestBrokerKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		s := startServer(t, "broker", "--data", dir, "--listen", "127.0.0.1:0", "--flush", "always", "--set", "num.partitions=3")
		line := s.text(t, "\n")
		if !strings.HasPrefix(line, "millrace broker: ready at 127.0.0.1:") || strings.Count(line, "\n") != 1 || !strings.Contains(line, dir) {
			t.Errorf("the line is %q", line)
		}
		at := address.FindString(line)
		if i == 0 {
			millrace(t, "", "topic", "create", "kept", "-p", "-1", "--brokers", at).expect(t, exitDone, "3 partitions")
			millrace(t, "value\n", "topic", "produce", "kept", "--brokers", at).expect(t, exitDone)
		}
		millrace(t, "", "topic", "consume", "kept", "-e", "--brokers", at).expect(t, exitDone, "value\n")
		s.end(t)
	}
}

func TestBrokerRefusesWhatItCannotServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	fresh := t.TempDir()
	millrace(t, "", "broker", "--data", fresh, "--listen", ln.Addr().String()).expect(t, exitFailed).says(t, ln.Addr().String(), "is taken", "--listen")
	if left, err := os.ReadDir(fresh); err != nil || len(left) > 0 {
		t.Errorf("a server without a port has touched the data: %v, %v", left, err)
	}

	used := t.TempDir()
	first := &broker.Server{Config: broker.Config{Dir: used}}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	millrace(t, "", "broker", "--data", used, "--listen", "127.0.0.1:0").expect(t, exitFailed).says(t, "in use by another process", used)

	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "format"), []byte("millrace data 9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	millrace(t, "", "broker", "--data", newer, "--listen", "127.0.0.1:0").expect(t, exitFailed).says(t, "newer format", newer)
}

func TestGarbageOnThePortDoesNotStopTheServer(t *testing.T) {
	at := serve(t, &broker.Server{})
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x00\x00\x00\x04\xff\xff\xff\xff", "\xff\xff\xff\xff"} {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v, want the connection closed", garbage, err)
		}
		conn.Close()
	}
	millrace(t, "", "topic", "list", "--brokers", at).expect(t, exitDone)
}

func TestNamesThatComeNear(t *testing.T) {
	for name, want := range map[string]string{
		"order":  ", did you mean orders?",
		"ordres": ", did you mean orders?",
		"x":      "",
		"pay":    ", did you mean payments?",
	} {
		if got := didYouMean(name, []string{"orders", "payments"}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestTopicIDsAreWrittenAsKafkaDoes(t *testing.T) {
	if got := topicID(kadm.TopicID{0xfb, 0xef, 0xff}); got != "--__AAAAAAAAAAAAAAAAAA" {
		t.Errorf("%q", got)
	}
}
