package proctest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built holds the programs of the module, once a test has asked for them.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// Main runs the tests of a package that starts processes, and removes the programs that were built for them. Call it from TestMain.
func Main(m *testing.M) int {
	defer func() {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
	}()
	return m.Run()
}

// programs returns the directory of the built programs: millrace, wordcount and cdc.
func programs(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.dir, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func build() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "millrace-proctest-")
	if err != nil {
		return "", err
	}
	for _, path := range []string{"./examples/wordcount", "./examples/cdc", "./cmd/millrace"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, filepath.Base(path)), path)
		cmd.Dir = strings.TrimSpace(string(root))
		if out, err := cmd.CombinedOutput(); err != nil {
			os.RemoveAll(dir)
			return "", fmt.Errorf("build %s: %w\n%s", path, err, out)
		}
	}
	return dir, nil
}

// Broker starts a log server on a directory and returns it with its address once it is ready. The address of an earlier one makes it come back where its clients look
// for it; an empty one takes a free port. More flags may follow.
func Broker(t testing.TB, dir, address string, flags ...string) (*Process, string) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	p := Launch(t, "millrace", append([]string{"broker", "--data", dir, "--listen", address}, flags...)...)
	line := p.Stdout.Line(t, p, "ready at ")
	_, rest, _ := strings.Cut(line, "ready at ")
	address, _, _ = strings.Cut(rest, ",")
	return p, address
}
