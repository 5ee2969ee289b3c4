package main

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words returns the words of a line: its runs of letters and digits, lower-cased. A word that has no upper-case letter is a piece of the line itself, so most words
// cost no memory of their own.
func words(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, lower := -1, true // the word that is open begins at start, and is lower case so far
		for i := 0; i < len(line); {
			letter, size, isLower := classify(line[i:])
			switch {
			case letter && start < 0:
				start, lower = i, isLower
			case letter:
				lower = lower && isLower
			case start >= 0:
				if !yield(lowered(line[start:i], lower)) {
					return
				}
				start = -1
			}
			i += size
		}
		if start >= 0 {
			yield(lowered(line[start:], lower))
		}
	}
}

// classify says whether s begins with a letter or digit, how many bytes that character takes, and whether lower-casing leaves it as it is. Bytes that are no UTF-8
// separate words.
func classify(s string) (letter bool, size int, isLower bool) {
	if c := s[0]; c < utf8.RuneSelf {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return true, 1, true
		case 'A' <= c && c <= 'Z':
			return true, 1, false
		}
		return false, 1, true
	}
	r, size := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r) || unicode.IsDigit(r), size, unicode.ToLower(r) == r
}

func lowered(word string, already bool) string {
	if already {
		return word
	}
	return strings.ToLower(word)
}
