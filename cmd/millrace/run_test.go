package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker"
)

// outcome is what a command left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

func millrace(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// on returns a function that runs commands against a log server of this test.
func on(t *testing.T) func(stdin string, args ...string) outcome {
	t.Helper()
	address := serve(t, &broker.Server{})
	return func(stdin string, args ...string) outcome {
		t.Helper()
		return millrace(t, stdin, append(args, "--brokers", address)...)
	}
}

func serve(t *testing.T, server *broker.Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, broker.ErrServerClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func (o outcome) expect(t *testing.T, code int, stdout ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", o.code, code, o.stdout, o.stderr)
	}
	for _, part := range stdout {
		if !strings.Contains(o.stdout, part) {
			t.Errorf("the output lacks %q:\n%s%s", part, o.stdout, o.stderr)
		}
	}
	return o
}

// says checks the message on standard error.
func (o outcome) says(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(o.stderr, part) {
			t.Errorf("the message lacks %q:\n%s", part, o.stderr)
		}
	}
}

func decode[T any](t *testing.T, o outcome) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
		t.Fatalf("%v\n%s%s", err, o.stdout, o.stderr)
	}
	return v
}
