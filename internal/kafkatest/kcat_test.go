package kafkatest

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// kcat runs kcat with an input and returns its output.
func kcat(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline) // it waits for ever for a partition that has no leader
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %v: %v\n%s%s", args, err, out, stderr.text)
	}
	return string(out)
}

func TestKcatWritesReadsAndLists(t *testing.T) {
	needs(t, "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "")
	kcat(t, "k1:one\nk2:two\nk1:three\n", "-b", address, "-P", "-t", "greetings", "-K", ":")
	out := kcat(t, "", "-b", address, "-C", "-t", "greetings", "-o", "beginning", "-e", "-q", "-f", "%k=%s\n")
	if want := "k1=one\nk2=two\nk1=three\n"; sorted(out) != sorted(want) {
		t.Errorf("read %q, want the lines of %q", out, want)
	}
	out = kcat(t, "", "-b", address, "-L")
	for _, part := range []string{"1 brokers:", address, `topic "greetings" with 1 partitions:`, "partition 0, leader 1, replicas: 1, isrs: 1"} {
		if !strings.Contains(out, part) {
			t.Errorf("the list lacks %q:\n%s", part, out)
		}
	}
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		kcat(t, strings.Repeat(codec+" packs this line\n", 100), "-b", address, "-P", "-t", codec, "-z", codec)
		out := kcat(t, "", "-b", address, "-C", "-t", codec, "-o", "beginning", "-e", "-q")
		if n := strings.Count(out, codec+" packs this line\n"); n != 100 {
			t.Errorf("%s: read %d lines, want 100", codec, n)
		}
	}
}

func sorted(lines string) string {
	return strings.Join(slices.Sorted(strings.SplitSeq(lines, "\n")), "\n")
}
