package archtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced piece of a document.
type block struct {
	language string
	line     int
	text     string
}

func blocks(t *testing.T, document string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		switch rest, fence := strings.CutPrefix(line, "```"); {
		case fence && !inside:
			all = append(all, block{rest, i + 2, ""})
			inside = true
		case fence:
			inside = false
		case inside:
			all[len(all)-1].text += line + "\n"
		}
	}
	return all
}

// commands returns the lines of a document's sh blocks, without their comments.
func commands(t *testing.T, document string) []string {
	t.Helper()
	var all []string
	for _, b := range blocks(t, document) {
		if b.language != "sh" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
	}
	return all
}

func TestREADMEBeginsWithTheTwoCommands(t *testing.T) {
	all := commands(t, "README.md")
	if want := []string{"go run ./examples/wordcount", "go test ./..."}; len(all) < 2 || !slices.Equal(all[:2], want) {
		t.Errorf("the README begins with %q, want %q", all, want)
	}
}

// elsewhere are commands of the README that this test does not run, with the place that does.
var elsewhere = map[string]string{
	"go test ./...":                  "runs this test",
	"go test -short ./...":           "runs this test",
	"go run ./benchmarks -short":     "is a step of .ci/run",
	"go run ./examples/cdc":          "needs Postgres, is a step of .ci/run",
	"go run ./examples/cdc --kill 5": "needs Postgres, is a step of .ci/run",
}

// commandTimeout is how long a command of the README may take here, its compilation included.
const commandTimeout = 5 * time.Minute

// TestREADMECommandsWork runs every command of the README as it stands there, except that the word count of Go's whole source gets a smaller text, and a temporary directory
// instead of the reader's; servers are stopped once they are ready.
func TestREADMECommandsWork(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the README's programs; left out with -short")
	}
	dir, built := t.TempDir(), map[string]string{} // programs by the path that go run names
	for _, command := range commands(t, "README.md") {
		t.Run(command, func(t *testing.T) {
			if where := elsewhere[command]; where != "" {
				t.Skip("not run here: " + where)
			}
			args := strings.Fields(command)
			if len(args) < 3 || args[0] != "go" || args[1] != "run" {
				t.Fatalf("this test does not know how to run %q: teach it", command)
			}
			if command == "go run ./examples/wordcount" {
				args = append(args, "README.md")
			}
			for i, arg := range args {
				if rest, ok := strings.CutPrefix(arg, "./"); ok && i > 0 && args[i-1] == "--data" {
					args[i] = filepath.Join(t.TempDir(), rest)
				}
			}
			runCommand(t, args, dir, built)
		})
	}
}

// runCommand builds the program that go run names into dir, unless it is built, and runs it from the root of the module; a server is stopped when it has said that it is ready.
func runCommand(t *testing.T, args []string, dir string, built map[string]string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	program := built[args[2]] // go run would not hand a signal on
	if program == "" {
		program = filepath.Join(dir, filepath.Base(args[2]))
		build := exec.CommandContext(ctx, "go", "build", "-o", program, args[2])
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		built[args[2]] = program
	}
	cmd := exec.CommandContext(ctx, program, args[3:]...)
	cmd.Dir = root
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	if !slices.Contains([]string{"dev", "broker"}, args[min(3, len(args)-1)]) {
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(args[2], "wordcount") && !slices.Contains(args, "--help") && !strings.Contains(string(out), "equals a direct count") {
			t.Errorf("the result does not equal a direct count:\n%s", out)
		}
		return
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 1)
	if _, err := stdout.Read(said); err != nil {
		t.Errorf("the server ended without a word: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestREADMEProgramsCompile(t *testing.T) {
	n := 0
	for _, b := range blocks(t, "README.md") {
		if b.language != "go" {
			continue
		}
		n++
		path := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(path, []byte(b.text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"vet", path}, {"build", "-o", os.DevNull, path}} {
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir = filepath.Join("..", "..")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("README.md:%d: go %s: %v\n%s", b.line, args[0], err, out)
			}
		}
	}
	if n == 0 {
		t.Error("the README has no program")
	}
}

func TestDocumentsLinkToWhatExists(t *testing.T) {
	for _, document := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", document))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
				t.Errorf("%s links to %s: %v", document, target, err)
			}
		}
	}
}

func TestFoldersOfTheREADMEExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") || strings.Contains(cells[1], "--") {
			continue
		}
		rows++
		for _, name := range strings.Split(cells[1], ",") {
			if _, err := os.Stat(filepath.Join("..", "..", strings.Trim(name, " `"))); err != nil {
				t.Errorf("the README's map names a folder that is not there: %v", err)
			}
		}
	}
	if rows < 5 {
		t.Errorf("the README's map has %d rows", rows)
	}
}
