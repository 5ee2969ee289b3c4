package main

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestWordsAreLowerCasedRunsOfLettersAndDigits(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       []string
	}{
		{"empty line", "", nil},
		{"only separators", " \t;--{}\r", nil},
		{"plain", "the quick fox", []string{"the", "quick", "fox"}},
		{"case", "The THE the", []string{"the", "the", "the"}},
		{"digits belong to words", "x1 42 3d", []string{"x1", "42", "3d"}},
		{"underscore separates", "snake_case", []string{"snake", "case"}},
		{"apostrophe separates", "don't", []string{"don", "t"}},
		{"letters of other scripts", "Öl, ЖУК, 東京٣!", []string{"öl", "жук", "東京٣"}},
		{"word at both ends", "a,b", []string{"a", "b"}},
		{"broken UTF-8 separates", "ab\xffcd\xc3", []string{"ab", "cd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := slices.Collect(words(c.line)); !slices.Equal(got, c.want) {
				t.Errorf("words(%q) = %q, want %q", c.line, got, c.want)
			}
		})
	}
}

func TestWordsStopWhenTheReaderDoes(t *testing.T) {
	for w := range words("one two three") {
		if w != "one" {
			t.Fatalf("read on to %q", w)
		}
		break
	}
}

// The definition in one line, slow and plain, must agree with the splitter on any input.
func FuzzWords(f *testing.F) {
	f.Add("The quick_brown Fox 42")
	f.Add("İstanbul ǅ \xff\xfe東京")
	f.Fuzz(func(t *testing.T, line string) {
		want := strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for i := range want {
			want[i] = strings.ToLower(want[i])
		}
		if got := slices.Collect(words(line)); !slices.Equal(got, want) {
			t.Errorf("words(%q) = %q, want %q", line, got, want)
		}
	})
}

func TestLowerCaseWordsCostNoMemory(t *testing.T) {
	line, n := "func main prints 42 words of lower case", 0
	if allocs := testing.AllocsPerRun(100, func() {
		for range words(line) {
			n++
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a line, want 0", allocs)
	}
}
