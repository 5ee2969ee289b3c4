package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
	pageLink = regexp.MustCompile(`\]\(([^)#:]+\.md)\)`)
)

// dedent takes the tabs away that a block has in front of all its lines.
func dedent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	most := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, "\t")); strings.TrimSpace(l) != "" && (most < 0 || n < most) {
			most = n
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, strings.Repeat("\t", max(most, 0)))
	}
	return strings.Join(lines, "\n")
}

// shown tells whether the lines of block stand one after the other in a source, at any one depth.
func shown(source []string, block string) bool {
	want := strings.Split(block, "\n")
	for i := 0; i+len(want) <= len(source); i++ {
		if strings.TrimLeft(source[i], "\t") == strings.TrimLeft(want[0], "\t") && dedent(strings.Join(source[i:i+len(want)], "\n")) == block {
			return true
		}
	}
	return false
}

// TestEveryGoBlockIsCompiledAndRun holds the pages against the tests beside them.
func TestEveryGoBlockIsCompiledAndRun(t *testing.T) {
	var sources [][]string
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, strings.Split(string(text), "\n"))
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			blocks++
			block, found := dedent(m[1]), false
			for _, s := range sources {
				found = found || shown(s, block)
			}
			if !found {
				t.Errorf("%s shows what no test here has:\n%s", page, block)
			}
		}
		for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s points to %s: %v", page, m[1], err)
			}
		}
	}
	if blocks < 40 {
		t.Errorf("found %d blocks of Go, which are too few: is the pattern still right?", blocks)
	}
}
