package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Freeze stops the process where it is, and returns when none of its threads can do anything more but end a call into the system. Kill ends a frozen process too.
func (p *Process) Freeze(t testing.TB) {
	t.Helper()
	p.Signal(syscall.SIGSTOP)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(Deadline)
	defer late.Stop()
	for !p.stands(t) {
		select {
		case <-p.Exited:
			t.Fatalf("%s ended (%v) before it could be frozen\nstderr: %s", p.name, p.err, p.Stderr)
		case <-late.C:
			t.Fatalf("%s does not stand still %v after SIGSTOP", p.name, Deadline)
		case <-tick.C:
		}
	}
}

// stands reports whether every thread is stopped (T) or waits for the disk (D).
func (p *Process) stands(t testing.TB) bool {
	t.Helper()
	states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range states {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		// The name before the state stands in brackets and may hold anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if !strings.HasPrefix(rest, "T") && !strings.HasPrefix(rest, "D") {
			return false
		}
	}
	return len(states) > 0
}
