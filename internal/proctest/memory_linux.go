package proctest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// ResidentBytes is how much memory the process holds now.
func (p *Process) ResidentBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("%s: %v\nstderr: %s", p.name, err, p.Stderr)
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatalf("the status of %s does not tell its memory:\n%s", p.name, status)
	return 0
}
