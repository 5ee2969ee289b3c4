package main

import (
	"slices"
	"strings"
)

const (
	nearDistance = 2 // edits that a slip of the finger takes
	nearNames    = 3 // names to offer at most
)

// didYouMean returns ", did you mean a or b?" with the names that come near to one, or nothing.
func didYouMean(name string, names []string) string {
	var near []string
	for _, n := range names {
		if n != name && (edits(name, n) <= nearDistance || len(name) > 2 && strings.HasPrefix(n, name)) {
			near = append(near, n)
		}
	}
	if len(near) == 0 {
		return ""
	}
	slices.Sort(near)
	return ", did you mean " + strings.Join(near[:min(len(near), nearNames)], " or ") + "?"
}

// edits counts the insertions, deletions and replacements of bytes that make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1) // row[j]: edits from the first i bytes of a to the first j of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
