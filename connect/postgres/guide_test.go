package postgres

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-io/millrace/internal/proctest"
)

var fenced = regexp.MustCompile("(?s)```(sh|sql)\n(.*?)```")

// TestGuideIsTrue runs the statements and the command of the guide, on a server and a log of its own.
func TestGuideIsTrue(t *testing.T) {
	server := ownServer(t, nil)
	text, err := os.ReadFile("../../docs/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	admin.Close(t.Context())
	db, err := pgx.Connect(t.Context(), server.URL("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE items (id int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	var command []string
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		if block[1] == "sh" {
			command = append(command, strings.TrimSpace(block[2]))
			continue
		}
		if _, err := db.Exec(t.Context(), block[2]); err != nil {
			t.Errorf("%s: %v", block[2], err)
		}
	}
	if len(command) != 1 {
		t.Fatalf("the guide has the commands %q, want one", command)
	}
	_, brokers := proctest.Broker(t, t.TempDir(), "")
	line := strings.NewReplacer("postgres://millrace@127.0.0.1:5432/shop", server.URL("shop"), "127.0.0.1:9092", brokers, "'", "").Replace(command[0])
	args := strings.Fields(line)
	p := proctest.Launch(t, args[0], append(args[1:], "--verbose")...)
	p.Stderr.Line(t, p, "msg=streaming")
	p.Kill()
}
