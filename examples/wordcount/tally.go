package main

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
)

// tally is the direct count: a plain map, filled while the text is read, that the result of the topology is held against.
type tally struct {
	counts map[string]int64 // owned by the reader of the text until it is done
	lines  atomic.Int64
	words  atomic.Int64
	bytes  atomic.Int64
	done   atomic.Bool // the whole text was read
}

func newTally() *tally { return &tally{counts: map[string]int64{}} }

func (t *tally) add(line string) {
	n := int64(0)
	for word := range words(line) {
		if _, known := t.counts[word]; !known {
			word = strings.Clone(word) // a piece of the line would keep the whole line in memory
		}
		t.counts[word]++
		n++
	}
	t.lines.Add(1)
	t.words.Add(n)
	t.bytes.Add(int64(len(line)) + 1)
}

type wordCount struct {
	word  string
	count int64
}

// mostFrequent returns the n words with the highest counts, those of one count in the order of the alphabet.
func mostFrequent(counts map[string]int64, n int) []wordCount {
	all := make([]wordCount, 0, len(counts))
	for w, c := range counts {
		all = append(all, wordCount{w, c})
	}
	slices.SortFunc(all, func(a, b wordCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.word, b.word))
	})
	return all[:min(n, len(all))]
}

// difference returns the words whose counts differ, in the order of the alphabet.
func difference(a, b map[string]int64) []string {
	var words []string
	for w, n := range a {
		if b[w] != n {
			words = append(words, w)
		}
	}
	for w := range b {
		if _, both := a[w]; !both {
			words = append(words, w)
		}
	}
	slices.Sort(words)
	return words
}
