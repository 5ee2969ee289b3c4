package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what one system did in one workload, a measure for each round.
type result struct {
	Workload string    `json:"workload"`
	System   string    `json:"system"`
	Unit     string    `json:"unit"` // "records" or "words"
	Rounds   []measure `json:"rounds"`
}

// ratio compares two systems within the rounds of a workload.
type ratio struct {
	Name   string    `json:"name"`
	Rounds []float64 `json:"rounds"`
}

// fact is a figure that is no rate: a time, a size.
type fact struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Rounds []float64 `json:"rounds"`
}

// report is everything that a run found out.
type report struct {
	Machine machine   `json:"machine"`
	Command string    `json:"command"`
	Time    time.Time `json:"time"`
	Results []*result `json:"results"`
	Ratios  []*ratio  `json:"ratios,omitempty"`
	Facts   []*fact   `json:"facts,omitempty"`
}

type machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Memory   string `json:"memory"`
	Platform string `json:"platform"`
	Go       string `json:"go"`
	Commit   string `json:"commit"`
}

func newReport(command string) *report {
	return &report{Machine: thisMachine(), Command: command, Time: time.Now().UTC().Truncate(time.Second)}
}

// add puts a measure to the rounds of a system.
func (r *report) add(workload, system, unit string, m measure) {
	for _, known := range r.Results {
		if known.Workload == workload && known.System == system {
			known.Rounds = append(known.Rounds, m)
			return
		}
	}
	r.Results = append(r.Results, &result{workload, system, unit, []measure{m}})
}

func (r *report) addRatio(name string, value float64) {
	for _, known := range r.Ratios {
		if known.Name == name {
			known.Rounds = append(known.Rounds, value)
			return
		}
	}
	r.Ratios = append(r.Ratios, &ratio{name, []float64{value}})
}

func (r *report) addFact(name, unit string, value float64) {
	for _, known := range r.Facts {
		if known.Name == name {
			known.Rounds = append(known.Rounds, value)
			return
		}
	}
	r.Facts = append(r.Facts, &fact{name, unit, []float64{value}})
}

// print writes the tables for people.
func (r *report) print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, %s, %s, commit %s, %s\n\n", m.CPU, m.Cores, m.Memory, m.Platform, m.Go, m.Commit, r.Time.Format(time.DateOnly))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(r.Results) > 0 {
		fmt.Fprintln(t, "WORKLOAD\tSYSTEM\tPER SECOND\tMIN-MAX\tMB/S\tCPU NS EACH\tCPU S/GB\tALLOCS EACH\tROUNDS")
	}
	for _, res := range r.Results {
		rate, mb, cpu := spreadOf(each(res.Rounds, measure.rate)), spreadOf(each(res.Rounds, measure.megabyte)), spreadOf(each(res.Rounds, measure.perUnit))
		megabytes, perGB := "-", "-" // not counted
		if mb.greatest > 0 {
			megabytes, perGB = fmt.Sprintf("%.1f", mb.median), fmt.Sprintf("%.2f", spreadOf(each(res.Rounds, measure.perGB)).median)
		}
		allocs := "-"
		if n := spreadOf(each(res.Rounds, measure.allocsPerUnit)); n.least >= 0 {
			allocs = fmt.Sprintf("%.2f", n.median)
		}
		fmt.Fprintf(t, "%s\t%s\t%.0f %s\t%.0f-%.0f\t%s\t%.0f\t%s\t%s\t%d\n", res.Workload, res.System, rate.median, res.Unit, rate.least, rate.greatest, megabytes, cpu.median,
			perGB, allocs, len(res.Rounds))
	}
	for _, ra := range r.Ratios {
		s := spreadOf(ra.Rounds)
		fmt.Fprintf(t, "ratio\t%s\t%.2f\t%.2f-%.2f\t\t\t\t\t%d\n", ra.Name, s.median, s.least, s.greatest, len(ra.Rounds))
	}
	for _, f := range r.Facts {
		s := spreadOf(f.Rounds)
		fmt.Fprintf(t, "fact\t%s\t%.1f %s\t%.1f-%.1f\t\t\t\t\t%d\n", f.Name, s.median, f.Unit, s.least, s.greatest, len(f.Rounds))
	}
	return t.Flush()
}

func each(rounds []measure, figure func(measure) float64) []float64 {
	all := make([]float64, len(rounds))
	for i, m := range rounds {
		all[i] = figure(m)
	}
	return all
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func thisMachine() machine {
	m := machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), Memory: "unknown memory", Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Commit: "unknown"}
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		m.CPU = name
	}
	var kib int64
	if _, err := fmt.Sscan(procField("/proc/meminfo", "MemTotal"), &kib); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	// go run leaves the commit out of the build information, so git is asked.
	if out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// procField returns what stands behind a name in a file of /proc, or nothing.
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
