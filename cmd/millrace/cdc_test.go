package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/internal/pgserver"
)

func TestChangesOfNoDatabaseAreUsageErrors(t *testing.T) {
	for line, part := range map[string]string{
		"cdc postgres": "Database is empty",
		"cdc postgres --database postgres://x@127.0.0.1:1/x":                                "Tables is empty",
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a --name No":           `Name "No"`,
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a --partitions -1":     "Partitions is -1",
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a --heartbeat -1s":     "Heartbeat is -1s",
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a more":                `unexpected argument "more"`,
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a --metrics nonsense":  "--metrics nonsense",
		"cdc postgres --database postgres://x@127.0.0.1:1/x --tables a --heartbeat nothing": "--heartbeat",
		"cdc mysql": `no command "mysql"`,
	} {
		millrace(t, "", strings.Fields(line)...).expect(t, exitUsage).says(t, part, "Try: millrace")
	}
	millrace(t, "", "cdc", "postgres", "--help").expect(t, exitDone, "--database URL", "--tables TABLE", "--resnapshot", "--accept-types", "wal_level=logical")
}

func TestChangesOfADatabaseThatIsAwayAreGivenUp(t *testing.T) {
	millrace(t, "", "cdc", "postgres", "--database", "postgres://x@127.0.0.1:1/x", "--tables", "a", "--retry-for", "10ms").expect(t, exitFailed).says(t, "127.0.0.1:1", "given up")
}

func TestALineOfProgressSaysWhatIsKnown(t *testing.T) {
	for want, s := range map[string]postgres.Stats{
		"waiting: nobody there":                       {State: postgres.Waiting, Detail: "nobody there"},
		"snapshot: waiting for transactions that ran": {State: postgres.Snapshot},
		"snapshot of a.b: 7 rows":                     {State: postgres.Snapshot, SnapshotTable: "a.b", SnapshotRows: 7},
		"snapshot of a.b: 7 rows of about 9, 2s left": {State: postgres.Snapshot, SnapshotTable: "a.b", SnapshotRows: 7, SnapshotOf: 9, SnapshotLeft: 2 * time.Second},
		"streaming: 3 rows in 2 transactions, 5 bytes behind (1.5s), 6 bytes of write-ahead log kept": {State: postgres.Streaming, Rows: 3, Transactions: 2, LagBytes: 5, Lag: 1500 * time.Millisecond, RetainedBytes: 6},
	} {
		if got := cdcLine(s); got != want {
			t.Errorf("%+v became\n%s\nwant\n%s", s, got, want)
		}
	}
}

// A connector shows its figures while it runs, and says when it waits for its database.
func TestChangesOfADatabaseAndTheirPages(t *testing.T) {
	if os.Getenv("MILLRACE_POSTGRES") == "" {
		t.Skip("needs Postgres: set MILLRACE_POSTGRES=1")
	}
	server, err := pgserver.Start(t.Context(), pgserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	db, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'first')")
	brokers := serve(t, &broker.Server{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"cdc", "postgres", "--database", server.URL("postgres"), "--tables", "orders", "--name", "shop", "--brokers", brokers,
			"--heartbeat", "50ms", "--progress", "0", "--metrics", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, w)
		w.Close()
	}()
	said := bufio.NewReader(r)
	line, err := said.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, said)
	at, _, _ := strings.Cut(line[strings.Index(line, "http://"):], "/metrics")
	page := func(path string) (int, string) {
		resp, err := http.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	until := func(path string, code int, parts ...string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(time.Minute); ; <-tick.C {
			got, body := page(path)
			ok := got == code
			for _, part := range parts {
				ok = ok && strings.Contains(body, part)
			}
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: status %d, want %d with %q:\n%s", path, got, code, parts, body)
			}
		}
	}
	until("/healthz", http.StatusOK, "streaming")
	exec("INSERT INTO orders VALUES (2, 'second')")
	until("/metrics", http.StatusOK, `millrace_postgres_rows_total{connector="shop"} 2`, `millrace_postgres_transactions_total{connector="shop"} 1`,
		`millrace_postgres_state{connector="shop",state="streaming"} 1`, `millrace_postgres_lag_bytes{connector="shop"} 0`,
		`millrace_postgres_lag_seconds{connector="shop"} 0`, "millrace_postgres_slot_retained_bytes")
	millrace(t, "", "topic", "consume", "shop.public.orders", "-e", "--brokers", brokers).expect(t, exitDone, `"note":"first"`, `"note":"second"`)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	until("/healthz", http.StatusServiceUnavailable, "waiting")
	if err := server.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	until("/healthz", http.StatusOK, "streaming")
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
