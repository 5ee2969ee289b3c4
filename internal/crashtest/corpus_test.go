package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	corpusFiles  = 4
	corpusLines  = 25_000 // in each file
	corpusWords  = 8      // in each line
	corpusUnlike = 4_000  // different words
)

// corpus is a text that takes a second or two to count, and what its words' counts are.
type corpus struct {
	dir    string
	counts map[string]int64
}

// newCorpus writes the text. Its words are made here one by one and counted as they are made, so the counts owe nothing to any splitter.
func newCorpus(t *testing.T, rng *rand.Rand) corpus {
	t.Helper()
	c := corpus{t.TempDir(), map[string]int64{}}
	zipf := rand.NewZipf(rng, 1.1, 4, corpusUnlike-1)
	separators := []string{" ", " ", " ", ", ", "-", "_", "\t", "; "}
	for i := range corpusFiles {
		var text strings.Builder
		for range corpusLines {
			for j := range corpusWords {
				word := fmt.Sprintf("w%dö", zipf.Uint64())
				c.counts[word]++
				if rng.IntN(4) == 0 {
					word = strings.ToUpper(word)
				}
				if j > 0 {
					text.WriteString(separators[rng.IntN(len(separators))])
				}
				text.WriteString(word)
			}
			text.WriteString("\n")
		}
		if err := os.WriteFile(filepath.Join(c.dir, fmt.Sprintf("part%d.txt", i)), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
