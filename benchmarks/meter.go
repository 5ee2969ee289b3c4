package main

import (
	"cmp"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// measure is one stretch of work.
type measure struct {
	Units int64         `json:"units"` // records or words
	Bytes int64         `json:"bytes"` // of their keys and values; 0 when not counted
	Wall  time.Duration `json:"wall_ns"`
	CPU   time.Duration `json:"cpu_ns"` // user and system, of this process; in the broker workloads of the broker
	// Allocs counts allocations on the heap; nil when they were not counted.
	Allocs *int64 `json:"allocs,omitempty"`
}

func (m measure) rate() float64     { return float64(m.Units) / max(m.Wall.Seconds(), 1e-9) }
func (m measure) megabyte() float64 { return float64(m.Bytes) / 1e6 / max(m.Wall.Seconds(), 1e-9) }
func (m measure) perGB() float64    { return m.CPU.Seconds() / (float64(max(m.Bytes, 1)) / 1e9) }
func (m measure) perUnit() float64  { return float64(m.CPU) / float64(max(m.Units, 1)) }

// allocsPerUnit is -1 when allocations were not counted.
func (m measure) allocsPerUnit() float64 {
	if m.Allocs == nil {
		return -1
	}
	return float64(*m.Allocs) / float64(max(m.Units, 1))
}

// plus is two stretches of one work as one.
func (m measure) plus(o measure) measure {
	sum := measure{Units: m.Units + o.Units, Bytes: m.Bytes + o.Bytes, Wall: m.Wall + o.Wall, CPU: m.CPU + o.CPU, Allocs: o.Allocs}
	if m.Allocs != nil && o.Allocs != nil {
		both := *m.Allocs + *o.Allocs
		sum.Allocs = &both
	}
	return sum
}

// stretch measures from start to stop.
type stretch struct {
	begin  time.Time
	cpu    time.Duration
	allocs *int64 // nil: not counted
}

func start() stretch { return stretch{begin: time.Now(), cpu: processCPU()} }

// countingAllocs makes a stretch that has just begun count allocations too.
func (s stretch) countingAllocs() stretch {
	n := heapAllocs()
	s = start()
	s.allocs = &n
	return s
}

func (s stretch) stop(units, bytes int64) measure {
	m := measure{Units: units, Bytes: bytes, Wall: time.Since(s.begin), CPU: processCPU() - s.cpu}
	if s.allocs != nil {
		n := heapAllocs() - *s.allocs
		m.Allocs = &n
	}
	return m
}

// heapAllocs is how many objects this process has allocated.
func heapAllocs() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Mallocs)
}

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // the call cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMiB is the memory of a process in use now; 0 where /proc does not tell.
func residentMiB(pid int) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64) // the kernel writes a number
			return kib / 1024
		}
	}
	return 0
}

// spread is the median of some figures between the least and the greatest.
type spread struct{ median, least, greatest float64 }

func spreadOf(figures []float64) spread {
	sorted := slices.SortedFunc(slices.Values(figures), cmp.Compare[float64])
	if len(sorted) == 0 {
		return spread{}
	}
	mid := len(sorted) / 2
	median := sorted[mid]
	if len(sorted)%2 == 0 {
		median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}
