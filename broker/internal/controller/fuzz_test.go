package controller

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzTopicName: a name that is accepted is one element of a path on every system, and no two names become one by being written down.
func FuzzTopicName(f *testing.F) {
	for _, name := range []string{
		"a", "a.b_c-D9", "", ".", "..", "...", "../x", "a/b", "a\\b", "/etc/passwd", "a\x00b", "CON", "a b", "ä", "a\n", "%2e%2e", strings.Repeat("x", 249), strings.Repeat("x", 250),
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckTopicName(name) != nil {
			return
		}
		if len(name) == 0 || len(name) > maxTopicName || strings.ContainsAny(name, "/\\\x00 \n%:*?\"<>|") || name != filepath.Base(name) || !filepath.IsLocal(name) {
			t.Fatalf("the name %q was accepted", name)
		}
		if joined := filepath.Join("dir", name); filepath.Dir(joined) != "dir" || filepath.Base(joined) != name {
			t.Fatalf("the name %q leads to %s", name, joined)
		}
	})
}
