package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShortRunMeasuresEveryWorkload(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the benchmarks with small inputs; left out with -short")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "result.json")
	var out strings.Builder
	if err := benchmarks(t.Context(), []string{"-short", "-kafka", "off", "-json", file, "-profile", dir}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, res := range r.Results {
		seen = append(seen, res.Workload)
		for _, m := range res.Rounds {
			if m.Units == 0 || m.Wall <= 0 || m.CPU < 0 || m.CPU == 0 && !strings.HasPrefix(res.Workload, "broker-") { // theirs is told in hundredths of a second
				t.Errorf("%s, %s: %+v", res.Workload, res.System, m)
			}
		}
	}
	for _, want := range []string{
		"produce", "consume", "wordcount", "broker-raw, batches of 100 KiB", "broker-produce, 100 B, 100 partitions", "broker-fetch, 1024 B, 16 partitions",
		"broker-txn, 16 producers", "chain", "driver-source", "driver-hopping", "app-count", "app-tumbling", "app-session", "app-stream-join", "app-table-join",
	} {
		if !slices.Contains(seen, want) {
			t.Errorf("no result of %s", want)
		}
	}
	for _, f := range r.Facts {
		if len(f.Rounds) != 1 || f.Rounds[0] <= 0 {
			t.Errorf("%s: %v", f.Name, f.Rounds)
		}
	}
	if len(r.Ratios) != 21 || len(r.Facts) != 13 || r.Machine.Cores == 0 || r.Machine.Go == "" {
		t.Errorf("ratios %v, facts %v, machine %+v", r.Ratios, r.Facts, r.Machine)
	}
	if p, err := os.Stat(filepath.Join(dir, "app-count.pprof")); err != nil || p.Size() == 0 {
		t.Errorf("the profile of app-count: %v, %v", p, err)
	}
	for _, part := range []string{"WORKLOAD", "exactly-once / at-least-once", "memory at rest"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, out.String())
		}
	}
}

func TestWrongFlagsAreUsageErrors(t *testing.T) {
	for _, args := range []string{"-run (", "-run nosuch", "-rounds -1", "-rounds 101", "extra", "-nosuch", "-kafka maybe"} {
		if err := benchmarks(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%s: error %v", args, err)
		}
	}
}

func TestInputIsTheSameEverywhere(t *testing.T) {
	d := newDraws(1)
	first, second := string(appendLine(nil, d)), string(appendLine(nil, d))
	if len(first) != 95 || strings.Count(first, " ") != wordsPerLine-1 || first == second {
		t.Errorf("lines %q and %q", first, second)
	}
	if again := string(appendLine(nil, newDraws(1))); again != first {
		t.Errorf("the same seed gives %q and %q", first, again)
	}
}

// The checksums are those that another generator of the same description has computed.
func TestStreamInputIsTheSameEverywhere(t *testing.T) {
	late := drawnInput(10_000, 1000)
	late.late = latePercent
	for _, c := range []struct {
		name string
		in   inputSpec
		want uint32
	}{
		{"drawn", drawnInput(1_000_000, 100_000), 0x354ab207},
		{"late", late, 0x52c64a76},
		{"table", tableInput(10_000), 0x8aca9cc3},
	} {
		if got := c.in.checksum(); got != c.want {
			t.Errorf("%s: checksum %08x, want %08x", c.name, got, c.want)
		}
	}
	moved := 0
	for i, r := range late.each {
		if ms := inputFrom + i/10; r.timestamp > ms || r.timestamp < ms-maxLateMs {
			t.Fatalf("record %d is of %d, want up to %d ms before %d", i, r.timestamp, maxLateMs, ms)
		} else if r.timestamp < ms {
			moved++
		}
	}
	if moved < 400 || moved > 600 {
		t.Errorf("%d of 10000 records are late, want about 500", moved)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.figures); got != c.want {
			t.Errorf("%v: %v, want %v", c.figures, got, c.want)
		}
	}
}
