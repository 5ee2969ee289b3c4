package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
)

// maxTopicName leaves room in a file name for a suffix.
const maxTopicName = 249

// CheckTopicName refuses names that no topic may have: 1 to 249 of [a-zA-Z0-9._-], and neither "." nor "..".
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fault(kerr.InvalidTopicException, "Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return fault(kerr.InvalidTopicException, "Topic name is invalid: '%s' is not allowed", name)
	case len(name) > maxTopicName:
		return fault(kerr.InvalidTopicException, "Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, maxTopicName)
	}
	for i := range len(name) {
		if !topicByte(name[i]) {
			return fault(kerr.InvalidTopicException,
				"Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return nil
}

func topicByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// collides reports whether two names become one where '.' and '_' are not told apart, as in names of metrics.
func collides(a, b string) bool {
	if len(a) != len(b) || a == b {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == '.' {
			x = '_'
		}
		if y == '.' {
			y = '_'
		}
		if x != y {
			return false
		}
	}
	return true
}
