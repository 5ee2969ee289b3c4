package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/examples/internal/command"
)

// textFiles writes files by their path below a new directory.
func textFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func linesOf(t *testing.T, limit int, args ...string) ([]string, error) {
	t.Helper()
	in, err := openInput(args)
	if err != nil {
		return nil, err
	}
	var lines []string
	err = in.eachLine(t.Context(), limit, func(line string) error {
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func TestInputReadsFilesAndDirectoriesInOrder(t *testing.T) {
	dir := textFiles(t, map[string]string{
		"b.txt":          "b1\nb2\n",
		"sub/c":          "c1\r\n\nc3",
		".hidden/x":      "no",
		".dotfile":       "no",
		"elsewhere/last": "z\n",
	})
	got, err := linesOf(t, 100, filepath.Join(dir, "elsewhere/last"), dir)
	want := []string{"z", "b1", "b2", "z", "c1", "", "c3"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("lines %q, error %v, want %q", got, err, want)
	}
}

func TestInputFollowsALinkToADirectory(t *testing.T) {
	dir := textFiles(t, map[string]string{"real/a": "one\n"})
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "real"), link); err != nil {
		t.Fatal(err)
	}
	if got, err := linesOf(t, 100, link); err != nil || !slices.Equal(got, []string{"one"}) {
		t.Errorf("lines %q, error %v", got, err)
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := openInput([]string{filepath.Join(t.TempDir(), "nosuch.txt")})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nosuch.txt") || !strings.Contains(err.Error(), "name files") {
		t.Errorf("error %v", err)
	}
}

func TestInputIsKnownByPathsAndSizes(t *testing.T) {
	dir := textFiles(t, map[string]string{"a": "12", "b": "34"})
	id := func(args ...string) string {
		in, err := openInput(args)
		if err != nil {
			t.Fatal(err)
		}
		return in.id
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	before := id(a, b)
	if id(a, b) != before {
		t.Error("the same files are another input")
	}
	if id(dir) != before {
		t.Error("a directory is another input than its files")
	}
	for _, other := range [][]string{{a}, {b, a}, {a, b, "-"}} {
		if id(other...) == before {
			t.Errorf("%v is the same input as %v", other, []string{a, b})
		}
	}
	if err := os.WriteFile(b, []byte("345"), 0o644); err != nil {
		t.Fatal(err)
	}
	if id(a, b) == before {
		t.Error("a longer file is the same input")
	}
}

func TestStandardInputCannotBeReadTwice(t *testing.T) {
	if _, err := openInput([]string{"-", "-"}); !errors.Is(err, command.ErrUsage) {
		t.Errorf("error %v, want a usage error", err)
	}
}

func TestLineLongerThanARecordIsRefusedWithItsPlace(t *testing.T) {
	const limit = 200_000 // more than the reader's buffer
	dir := textFiles(t, map[string]string{
		"fits":  strings.Repeat("x", limit) + "\r\n",
		"bad":   "ok\n" + strings.Repeat("y", limit+1) + "\nnever read",
		"worse": strings.Repeat("z", 3*limit),
	})
	if got, err := linesOf(t, limit, filepath.Join(dir, "fits")); err != nil || len(got) != 1 || len(got[0]) != limit {
		t.Fatalf("a line of just the limit: %d lines, error %v", len(got), err)
	}
	for name, line := range map[string]int64{"bad": 2, "worse": 1} {
		_, err := linesOf(t, limit, filepath.Join(dir, name))
		var long *lineTooLong
		if !errors.As(err, &long) || long.line != line || filepath.Base(long.file) != name || !strings.Contains(err.Error(), "max.message.bytes") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReadingStopsWithItsContext(t *testing.T) {
	dir := textFiles(t, map[string]string{"a": strings.Repeat("line\n", 100_000)})
	in, err := openInput([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = in.eachLine(ctx, 100, func(string) error {
		n++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 64<<10 {
		t.Errorf("error %v after %d lines", err, n)
	}
}
