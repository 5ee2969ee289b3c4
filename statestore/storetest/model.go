package storetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/statestore"
)

// model is what a partition should hold.
type model struct {
	entries    map[string]string
	checkpoint *string
}

func newModel() *model { return &model{entries: make(map[string]string)} }

func (m *model) clone() *model {
	return &model{entries: maps.Clone(m.entries), checkpoint: m.checkpoint}
}

func (m *model) deleteRange(lo, hi *string) {
	for k := range m.entries {
		if inRange(k, lo, hi) {
			delete(m.entries, k)
		}
	}
}

func (m *model) scan(lo, hi *string, reverse bool) (out []entry) {
	for _, k := range slices.Sorted(maps.Keys(m.entries)) {
		if inRange(k, lo, hi) {
			out = append(out, entry{k, m.entries[k]})
		}
	}
	if reverse {
		slices.Reverse(out)
	}
	return out
}

func inRange(k string, lo, hi *string) bool {
	return (lo == nil || k >= *lo) && (hi == nil || k < *hi)
}

// randomKey returns a key that is likely to meet others: short, of few letters, with the bytes at both ends of the order among them. It may be empty.
func randomKey(r *rand.Rand) string {
	const letters = "\x00ab\xff"
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteByte(letters[r.IntN(len(letters))])
	}
	if r.IntN(4) == 0 { // and some that spread
		b.WriteByte(byte(r.IntN(256)))
		b.WriteByte(byte(r.IntN(256)))
	}
	return b.String()
}

// randomBound returns a key or, now and then, an open bound.
func randomBound(r *rand.Rand) *string {
	if r.IntN(4) == 0 {
		return nil
	}
	return at(randomKey(r))
}

// randomRange returns a range of keys and what it should be: the keys in [lo, hi), nil being open.
func randomRange(r *rand.Rand) (rng statestore.Range[string], lo, hi *string, reverse bool) {
	lo, hi, reverse = randomBound(r), randomBound(r), r.IntN(2) == 0
	switch {
	case lo != nil && hi != nil:
		rng = statestore.Between(*lo, *hi)
	case lo != nil:
		rng = statestore.AtLeast(*lo)
	case hi != nil:
		rng = statestore.Below(*hi)
	}
	if hi != nil && r.IntN(3) == 0 {
		rng = rng.Inclusive()
		hi = at(*hi + "\x00")
	}
	if reverse {
		rng = rng.Backwards()
	}
	return rng, lo, hi, reverse
}

func randomValue(r *rand.Rand) string {
	n := r.IntN(20)
	if r.IntN(50) == 0 {
		n = r.IntN(20_000) // larger than a page of anything
	}
	return strings.Repeat(string(rune('a'+r.IntN(26))), n)
}
