package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestBarShowsShareRateAndTimeLeft(t *testing.T) {
	got := barLine(250_000, 1_000_000, 200_000, 2*time.Second, 80)
	for _, want := range []string{" 25% [", "##", "..]", " 250,000 words, 100,000/s, 8s left"} {
		if !strings.Contains(got, want) {
			t.Errorf("bar %q lacks %q", got, want)
		}
	}
}

func TestBarFitsItsTerminal(t *testing.T) {
	for width := range 120 {
		for _, total := range []int64{0, 10_000_000} {
			if got := barLine(9_999_999, total, 9_999_999, time.Second, width); len(got) > width {
				t.Errorf("width %d: %q has %d characters", width, got, len(got))
			}
		}
	}
}

func TestBarNeverClaimsMoreThanAll(t *testing.T) {
	if got := barLine(1_200, 1_000, 1_200, time.Second, 80); !strings.HasPrefix(got, "100% [") || !strings.Contains(got, " 0s left") {
		t.Errorf("counted more than estimated: %q", got)
	}
	if got := barLine(0, 1_000, 0, 0, 80); !strings.Contains(got, "-- left") {
		t.Errorf("no rate yet: %q", got)
	}
}

func TestBarIsSilentWithoutATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := newBar(f)
	b.draw(1, 1, 2, time.Second)
	b.clear()
	if info, _ := f.Stat(); info.Size() != 0 {
		t.Errorf("wrote %d bytes to a file", info.Size())
	}
}

func TestGroupedNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123456: "-123,456", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
