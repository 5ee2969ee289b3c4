package overlay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestSortedInAnyNumber has keys that differ in their first bytes, only after eight of them, only after sixteen, or in their lengths.
func TestSortedInAnyNumber(t *testing.T) {
	r := randomSource(t)
	parts := []string{"", "a", "b\x00", "\xff\xfe", "eight...", "more than eight", "more than sixteen bytes"}
	for _, n := range []int{1, 2, radixLeast - 1, radixLeast, 20 * radixLeast} {
		table := New(0)
		keys := make(map[string]bool)
		for len(keys) < n {
			key := "all " + parts[r.IntN(len(parts))] + parts[r.IntN(len(parts))] + strings.Repeat("\x00", r.IntN(3)) + fmt.Sprint(r.IntN(n))
			keys[key] = true
			table.Put([]byte(key), nil)
		}
		if got, want := sorted(table), slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
			t.Errorf("%d keys are out of order: %q", n, got)
		}
	}
}
