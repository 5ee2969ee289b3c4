package kafkatest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// TestPythonClients: testdata/python/clients.py holds each client to what it was promised.
func TestPythonClients(t *testing.T) {
	needs(t, "python3")
	dir := installed(t, "testdata/python/requirements.txt", func(dir string) []*exec.Cmd {
		return []*exec.Cmd{
			exec.CommandContext(t.Context(), "python3", "-m", "venv", dir),
			exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:",
				"-r", "testdata/python/requirements.txt"),
		}
	})
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	for _, client := range []string{"kafka-python", "aiokafka", "confluent-kafka"} {
		t.Run(client, func(t *testing.T) {
			content(t, client, nil, filepath.Join(dir, "bin", "python"), "testdata/python/clients.py", address, client)
		})
	}
}

// TestJavaScriptClients: testdata/javascript/clients.js holds each client to what it was promised.
func TestJavaScriptClients(t *testing.T) {
	needs(t, "node", "npm")
	dir := installed(t, "testdata/javascript/package.json", func(dir string) []*exec.Cmd {
		npm := exec.CommandContext(t.Context(), "npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
		npm.Dir = dir
		return []*exec.Cmd{npm}
	})
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	for _, client := range []string{"kafkajs", "platformatic"} {
		t.Run(client, func(t *testing.T) {
			content(t, client, []string{"NODE_PATH=" + filepath.Join(dir, "node_modules")}, "node", "testdata/javascript/clients.js", address, client)
		})
	}
}

// content runs a program that must end by saying that its client is.
func content(t *testing.T, client string, env []string, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), client+" is content\n") {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// installed returns a directory with the packages that a list names, beside a copy of the list. It is made once for each content of the list, outside of the checkout;
// a mark in it, made last, says that it is whole.
func installed(t *testing.T, list string, install func(dir string) []*exec.Cmd) string {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "millrace", fmt.Sprintf("%s-%x", filepath.Base(filepath.Dir(list)), sha256.Sum256(text)))
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, filepath.Base(list)), text, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range install(dir) {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
