package main

import (
	"slices"
	"testing"
)

func TestTallyCountsLinesWordsAndBytes(t *testing.T) {
	tally := newTally()
	for _, line := range []string{"The cat, the dog", "", "cat"} {
		tally.add(line)
	}
	if l, w, b := tally.lines.Load(), tally.words.Load(), tally.bytes.Load(); l != 3 || w != 5 || b != 22 {
		t.Errorf("%d lines, %d words, %d bytes, want 3, 5 and 22", l, w, b)
	}
	want := []wordCount{{"cat", 2}, {"the", 2}, {"dog", 1}}
	if got := mostFrequent(tally.counts, 10); !slices.Equal(got, want) {
		t.Errorf("most frequent %v, want %v", got, want)
	}
	if got := mostFrequent(tally.counts, 1); !slices.Equal(got, want[:1]) {
		t.Errorf("most frequent one %v, want %v", got, want[:1])
	}
}

func TestDifferenceFindsEveryWayToDiffer(t *testing.T) {
	a := map[string]int64{"same": 1, "less": 1, "gone": 4}
	b := map[string]int64{"same": 1, "less": 2, "new": 1}
	if got, want := difference(a, b), []string{"gone", "less", "new"}; !slices.Equal(got, want) {
		t.Errorf("difference %q, want %q", got, want)
	}
	if got := difference(a, a); len(got) != 0 {
		t.Errorf("a map differs from itself in %q", got)
	}
}
