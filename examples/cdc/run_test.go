package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-io/millrace/examples/internal/command"
	"github.com/millrace-io/millrace/internal/pgserver"
)

// TestMain lets the test's program be the example's children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--role" {
		main()
		return
	}
	os.Exit(m.Run())
}

func runProgram(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out strings.Builder
	code = run(ctx, args, &out, file)
	said, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String(), string(said)
}

func TestAnswersAreEqual(t *testing.T) {
	if os.Getenv("MILLRACE_POSTGRES") == "" {
		t.Skip("needs Postgres: set MILLRACE_POSTGRES=1")
	}
	kills := os.Getenv("MILLRACE_CDC_KILLS")
	if kills == "" {
		kills = "2"
	}
	for name, args := range map[string][]string{
		"one process": {"--duration", "2s", "--rate", "1000"},
		"killed":      {"--changes", "6000", "--rate", "1500", "--kill", kills},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runProgram(t, t.Context(), args...)
			if code != command.Done || !strings.HasSuffix(stdout, "All answers are equal.\n") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if name == "killed" && !strings.Contains(stdout, "were killed "+kills+" and "+kills+" times") {
				t.Errorf("the parts were not killed:\n%s", stdout)
			}
		})
	}
}

// A database of the user's is left as it was.
func TestDatabaseOfTheUsersIsLeftClean(t *testing.T) {
	if os.Getenv("MILLRACE_POSTGRES") == "" {
		t.Skip("needs Postgres: set MILLRACE_POSTGRES=1")
	}
	server, err := pgserver.Start(t.Context(), pgserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if code, stdout, stderr := runProgram(t, t.Context(), "--postgres", server.URL("postgres"), "--duration", "1s", "--rate", "500"); code != command.Done {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	left := 0
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication)
		+ (SELECT count(*) FROM pg_namespace WHERE nspname = 'millrace_cdc')`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things are left behind, %v", left, err)
	}
}

func TestWrongCommandLinesAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"--rate", "-1"}, {"--duration", "0s"}, {"--changes", "-1"}, {"--kill", "-1"}, {"--brokers", ""}, {"--role", "x"}, {"more"}, {"--nothing"}} {
		if code, stdout, stderr := runProgram(t, t.Context(), args...); code != command.Misused || stdout != "" || !strings.Contains(stderr, "--help") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if code, stdout, _ := runProgram(t, t.Context(), "--help"); code != command.Done || !strings.Contains(stdout, "--postgres URL") || strings.Contains(stdout, "--role") {
		t.Errorf("help, exit code %d:\n%s", code, stdout)
	}
}

func TestDatabaseThatIsNotThereIsNamed(t *testing.T) {
	code, _, stderr := runProgram(t, t.Context(), "--postgres", "postgres://nobody@127.0.0.1:1/none")
	if code != command.Failed || !strings.Contains(stderr, "check --postgres") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
