package main

import (
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// memoryShare is how much of a container's memory, in percent, the Go heap may take before the collector works harder; the rest is for stacks, for what the collector has not
// given back yet and for files that are being written. Measured in 256 MiB with 24 producers that send batches of 900 kB at a time: killed without a limit, 227 MB at most with it.
const memoryShare = 70

// keepToContainer makes the collector keep to the memory of the container, if there is a limit and GOMEMLIMIT does not say otherwise: it would let garbage pile up to as much as is
// in use, and the kernel would kill the process.
func keepToContainer() {
	if limit := containerMemory(os.DirFS("/")); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 100 * memoryShare)
	}
}

// noLimit is what the older kind of control group says when there is none, or more.
const noLimit = 1 << 60

// containerMemory returns the least of the limits that Linux's control groups, of either kind, set for this process; 0 when there is none.
func containerMemory(root fs.FS) (least int64) {
	text, _ := fs.ReadFile(root, "proc/self/cgroup") // elsewhere there is no such file, and no limit
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(part) < 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		if part[1] != "" {
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if !slices.Contains(strings.Split(part[1], ","), "memory") {
				continue
			}
		}
		for group := path.Clean("/" + part[2]); ; group = path.Dir(group) {
			value, _ := fs.ReadFile(root, path.Join(dir, group, file))
			if n, err := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64); err == nil && n > 0 && n < noLimit && (least == 0 || n < least) {
				least = n
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
