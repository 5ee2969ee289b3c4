package topology

import (
	"errors"
	"fmt"
	"strings"
)

// maxTopicName is the length of the longest name that Kafka allows: with a partition and a suffix it is still a file name.
const maxTopicName = 249

// checkTopicName reports why a name cannot be a topic's or a part of one.
func checkTopicName(name string) error {
	switch {
	case name == "":
		return errors.New("a topic needs a name")
	case name == "." || name == "..":
		return fmt.Errorf("%q is no name for a topic", name)
	case len(name) > maxTopicName:
		return fmt.Errorf("the topic name %q… has %d characters, more than %d", name[:20], len(name), maxTopicName)
	}
	if bad := strings.IndexFunc(name, func(r rune) bool { return !isTopicRune(r) }); bad >= 0 {
		return fmt.Errorf("topic name %q: only letters a-z and A-Z, digits, '.', '_' and '-' are allowed", name)
	}
	return nil
}

func isTopicRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
}
