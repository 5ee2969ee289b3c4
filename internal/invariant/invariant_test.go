package invariant

import (
	"strings"
	"testing"
)

func recovered(f func()) (msg string) {
	defer func() {
		if r := recover(); r != nil {
			msg = r.(string)
		}
	}()
	f()
	return ""
}

func TestAlwaysPanicsWithItsSentence(t *testing.T) {
	if msg := recovered(func() { Always(true, "fine") }); msg != "" {
		t.Fatalf("a true condition panicked: %s", msg)
	}
	msg := recovered(func() { Always(false, "high watermark %d past log end %d", 9, 7) })
	if !strings.Contains(msg, "high watermark 9 past log end 7") {
		t.Fatalf("panic does not carry the sentence: %q", msg)
	}
}
