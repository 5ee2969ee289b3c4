package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker"
)

// commandsOf returns the lines of a page's sh blocks that run this program.
func commandsOf(t *testing.T, page string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && strings.HasPrefix(line, "millrace "):
			lines = append(lines, line)
		}
	}
	return lines
}

// TestCommandsOfTheDocumentsWork runs what the pages show, one page after the other, each against a log server of its own; a server that a page starts is stopped when it is
// ready. Directories and ports are this test's.
func TestCommandsOfTheDocumentsWork(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, page := range pages {
		lines := commandsOf(t, page)
		if len(lines) == 0 {
			continue
		}
		address := serve(t, &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}})
		cli := func(stdin string, args ...string) outcome {
			return millrace(t, stdin, append(args, "--brokers", address)...)
		}
		anApplication(t, cli)
		for _, line := range lines {
			args := strings.Fields(line)[1:]
			t.Run(filepath.Base(page)+": "+line, func(t *testing.T) {
				switch args[0] {
				case "cdc":
					t.Skip("needs a database; cdc_test.go runs the like")
				case "broker", "dev":
					s := startServer(t, elsewhere(t, args)...)
					s.text(t, "ready at ")
					s.end(t)
				default:
					cli("", args...).expect(t, exitDone)
				}
				run++
			})
		}
	}
	if run < 5 {
		t.Errorf("%d commands were found: does this test still see them?", run)
	}
}

// anApplication leaves what the guide's word count leaves on a log: a group with offsets, and internal topics.
func anApplication(t *testing.T, cli func(stdin string, args ...string) outcome) {
	t.Helper()
	cli("", "topic", "create", "lines", "wordcount-words-repartition", "wordcount-counts-changelog").expect(t, exitDone)
	cli("to be\n", "topic", "produce", "lines").expect(t, exitDone)
	cli("", "topic", "consume", "lines", "-g", "wordcount", "-n", "1").expect(t, exitDone)
}

// elsewhere gives a server's command a directory and ports of its own.
func elsewhere(t *testing.T, args []string) []string {
	t.Helper()
	moved := []string{args[0], "--listen", "127.0.0.1:0"}
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "--listen":
			i++
		case "--data":
			moved = append(moved, "--data", filepath.Join(t.TempDir(), "data"))
			i++
		case "--metrics":
			moved = append(moved, "--metrics", "127.0.0.1:0")
			i++
		default:
			moved = append(moved, args[i])
		}
	}
	return moved
}
