package runtime

import (
	"strings"
	"testing"
)

// What a store needs of its changelog is what its own settings say: the records of a stream join are deleted by age, and never compacted.
func TestChangelogSettingsThatLoseStateAreRefused(t *testing.T) {
	for _, c := range []struct {
		name       string
		want, have map[string]string
		refusal    string // a part of it; "": accepted
	}{
		{"rows", settings("compact", ""), settings("compact", "604800000"), ""},
		{"rows deleted by age", settings("compact", ""), settings("compact,delete", "604800000"), "retention.ms=604800000, so that older state is lost: set cleanup.policy=compact"},
		{"rows deleted by size alone", settings("compact", ""), settings("compact,delete", "-1"), ""},
		{"rows not compacted", settings("compact", ""), settings("delete", "604800000"), "set cleanup.policy=compact"},
		{"windows", settings("compact,delete", "90000000"), settings("compact,delete", "90000000"), ""},
		{"windows kept for ever", settings("compact,delete", "90000000"), settings("compact", "1"), ""},
		{"windows lost early", settings("compact,delete", "90000000"), settings("compact,delete", "89999999"), "retention.ms=89999999, less than its store keeps: set retention.ms=90000000"},
		{"windows not compacted", settings("compact,delete", "90000000"), settings("delete", "90000000"), "set cleanup.policy=compact,delete"},
		{"join", settings("delete", "90000000"), settings("delete", "90000000"), ""},
		{"join lost early", settings("delete", "90000000"), settings("delete", "1"), "less than its store keeps"},
	} {
		err := checkChangelog("app-s-changelog", c.have, c.want)
		switch {
		case c.refusal == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal) || !strings.Contains(err.Error(), "app-s-changelog")):
			t.Errorf("%s: %v; want a refusal with %q", c.name, err, c.refusal)
		}
	}
}

func settings(policy, retention string) map[string]string {
	return map[string]string{"cleanup.policy": policy, "retention.ms": retention}
}
