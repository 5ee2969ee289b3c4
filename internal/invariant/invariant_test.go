package invariant

import (
	"errors"
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

func TestCheckRunsInTestsAndPanicsWithTheError(t *testing.T) {
	ran := false
	Check(func() error { ran = true; return nil })
	if !ran {
		t.Fatal("Check must run its function in a test")
	}
	if msg := recovered(func() { Check(func() error { return errors.New("index not sorted") }) }); !strings.Contains(msg, "index not sorted") {
		t.Fatalf("panic does not carry the error: %q", msg)
	}
}
