package kafkatest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A toolbox is a Java machine that runs Kafka's tools one after the other: see testdata/Toolbox.java.
type toolbox struct {
	mu      sync.Mutex // held for one tool at a time
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Reader
}

// toolPatience is how long one tool may take on a machine at work; most take well below a second.
const toolPatience = 3 * time.Minute

// tools serves all tests of the package, one after the other.
var tools toolbox

// run returns the exit code of a tool and what it wrote to standard output and to standard error.
func (b *toolbox) run(t *testing.T, command ...string) (code int, stdout, stderr string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		if err := b.open(); err != nil {
			t.Fatalf("start the toolbox: %v", err)
		}
	}
	late := time.AfterFunc(toolPatience, func() { _ = b.cmd.Process.Kill() })
	code, stdout, stderr, err := b.ask(command)
	if !late.Stop() && err != nil {
		err = fmt.Errorf("no answer within %v", toolPatience)
	}
	if err != nil {
		b.shut()
		t.Fatalf("%v: %v", command, err)
	}
	return code, stdout, stderr
}

func (b *toolbox) ask(command []string) (code int, stdout, stderr string, err error) {
	if _, err = fmt.Fprintln(b.stdin, strings.Join(command, "\x1f")); err != nil {
		return 0, "", "", err
	}
	line, err := b.answers.ReadString('\n')
	if err != nil {
		return 0, "", "", err
	}
	var out, errs int
	if _, err = fmt.Sscanf(line, "%d %d %d", &code, &out, &errs); err != nil {
		return 0, "", "", fmt.Errorf("answer %q: %w", line, err)
	}
	text := make([]byte, out+errs)
	if _, err = io.ReadFull(b.answers, text); err != nil {
		return 0, "", "", err
	}
	return code, string(text[:out]), string(text[out:]), nil
}

func (b *toolbox) open() error {
	cmd := exec.Command("./kafka", "run", "testdata/Toolbox.java")
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		return err
	}
	b.cmd, b.stdin, b.answers = cmd, stdin, bufio.NewReader(stdout)
	return nil
}

// close ends the Java machine, if there is one.
func (b *toolbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd != nil {
		b.shut()
	}
}

func (b *toolbox) shut() {
	b.stdin.Close()
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // it was killed
	b.cmd = nil
}
