package proctest

import (
	"bufio"
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Output keeps what a process writes, and lets one wait for a line.
type Output struct {
	mu     sync.Mutex
	text   bytes.Buffer
	change chan struct{} // closed at the next write; guarded by mu
}

func newOutput() *Output { return &Output{change: make(chan struct{})} }

func (w *Output) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.change)
	w.change = make(chan struct{})
	return w.text.Write(p)
}

func (w *Output) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// Line waits for a whole line that holds part.
func (w *Output) Line(t testing.TB, p *Process, part string) string {
	t.Helper()
	timer := time.NewTimer(Deadline)
	defer timer.Stop()
	for {
		w.mu.Lock()
		text, change := w.text.String(), w.change
		w.mu.Unlock()
		s := bufio.NewScanner(strings.NewReader(text))
		for s.Scan() {
			if strings.Contains(s.Text(), part) {
				return s.Text()
			}
		}
		select {
		case <-change:
		case <-p.Exited:
			t.Fatalf("%s ended (%v) without a line with %q\nstderr: %s", p.name, p.err, part, p.Stderr)
		case <-timer.C:
			t.Fatalf("%s wrote no line with %q within %v: %s", p.name, part, Deadline, text)
		}
	}
}
