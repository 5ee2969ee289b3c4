package proctest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// clockTick is the unit in which Linux tells processor times: USER_HZ, which is 100 on all that Go runs on.
const clockTick = 10 * time.Millisecond

// ProcessorTime is how long the process has had a processor, its own time and the system's on its behalf.
func (p *Process) ProcessorTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("%s: %v\nstderr: %s", p.name, err, p.Stderr)
	}
	// The program's name stands in brackets and may hold anything; utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system int64
	if len(fields) < 13 {
		t.Fatalf("the state of %s does not tell its times: %s", p.name, stat)
	}
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatalf("the state of %s does not tell its times: %v", p.name, err)
	}
	return time.Duration(user+system) * clockTick
}
