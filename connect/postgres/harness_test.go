package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/pgserver"
	"github.com/millrace-io/millrace/internal/proctest"
	"github.com/millrace-io/millrace/internal/topicscan"
)

// patience is how long a test waits for what should happen at once.
const patience = time.Minute

// shared is the server of all tests that need no settings of their own.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	dir    string
	err    error
	count  int
}

func TestMain(m *testing.M) {
	code := proctest.Main(m)
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// needPostgres skips a test where no Postgres is asked for.
func needPostgres(t testing.TB) {
	t.Helper()
	if os.Getenv("MILLRACE_POSTGRES") == "" {
		t.Skip("needs Postgres: set MILLRACE_POSTGRES=1")
	}
}

func sharedServer(t *testing.T) *pgserver.Server {
	t.Helper()
	needPostgres(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "millrace-postgres-"); shared.err != nil {
			return
		}
		shared.server, shared.err = pgserver.Start(t.Context(), pgserver.Config{Dir: shared.dir})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// world is a database of its own, a log of its own, and a connector between them.
type world struct {
	t      *testing.T
	server *pgserver.Server
	url    string
	name   string // of the connector, and of the database
	db     *pgx.Conn
	broker *brokertest.Broker
}

func newWorld(t *testing.T, server *pgserver.Server, schema string) *world {
	t.Helper()
	shared.count++
	w := &world{t: t, server: server, name: fmt.Sprintf("t%d", shared.count), broker: brokertest.Start(t, broker.Config{})}
	ctx := t.Context()
	admin, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+w.name); err != nil {
		t.Fatal(err)
	}
	w.url = server.URL(w.name)
	w.connect()
	w.exec(schema)
	t.Cleanup(w.dropSlot)
	return w
}

func (w *world) connect() {
	w.t.Helper()
	db, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.db = db
	w.t.Cleanup(func() { db.Close(context.Background()) })
}

// dropSlot frees the slot for other tests' sake.
func (w *world) dropSlot() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, w.url)
	if err != nil {
		return // the test took the server down
	}
	defer db.Close(ctx)
	_, err = db.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL", w.name)
	if err != nil {
		w.t.Log(err)
	}
	w.eventuallyDone("the slot is dropped", func() bool {
		_, err := db.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", w.name)
		return err == nil
	})
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// config is a connector for tables.
func (w *world) config(tables ...string) Config {
	return Config{
		Database: w.url, Tables: tables, Brokers: []string{w.broker.Addr}, Dial: w.broker.Net.Dial, Name: w.name, Heartbeat: 50 * time.Millisecond,
		CommitInterval: 5 * time.Millisecond, RetryFor: patience, TransactionTimeout: time.Minute, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	}
}

// running is a source that runs.
type running struct {
	t      *testing.T
	source *Source
	cancel context.CancelFunc
	done   chan error
}

func (w *world) run(cfg Config) *running {
	w.t.Helper()
	source, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{w.t, source, cancel, make(chan error, 1)}
	go func() { r.done <- source.Run(ctx) }()
	w.t.Cleanup(func() { r.stop() })
	return r
}

// stop ends the source and returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	return r.end()
}

// end waits for the source to end by itself.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(patience):
		r.t.Errorf("the source does not end: %+v", r.source.Stats())
		return nil
	}
}

// ends checks that the source ends by itself with an error that is want and says text.
func (r *running) ends(want error, text string) {
	r.t.Helper()
	err := r.end()
	if err == nil || !isError(err, want) || !strings.Contains(err.Error(), text) {
		r.t.Fatalf("the source ended with %v, want %v with %q", err, want, text)
	}
}

// caughtUp waits until all that the database holds now is in the log.
func (w *world) caughtUp(r *running) {
	w.t.Helper()
	var end string
	if err := w.db.QueryRow(w.t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		w.t.Fatal(err)
	}
	w.eventuallyDone("the source catches up", func() bool {
		select {
		case err := <-r.done:
			r.done <- err
			w.t.Fatalf("the source ended: %v", err)
		default:
		}
		var caught bool
		err := w.db.QueryRow(w.t.Context(), "SELECT coalesce(bool_or(confirmed_flush_lsn >= $1::pg_lsn), false) FROM pg_replication_slots WHERE slot_name = $2", end, w.name).Scan(&caught)
		return err == nil && caught && r.source.Stats().State == Streaming
	})
}

// eventuallyDone waits until f is true.
func (w *world) eventuallyDone(what string, f func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// records are the committed records of a table's topic, each partition's in its order.
func (w *world) records(table string) []*kgo.Record {
	w.t.Helper()
	return w.read(w.name + "." + table)
}

func (w *world) read(topic string) []*kgo.Record {
	w.t.Helper()
	all, err := w.tryRead(topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// tryRead is read for a topic that may not be there.
func (w *world) tryRead(topic string) (all []*kgo.Record, err error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return all, eachCommitted(ctx, w.broker.Client(w.t), topic, func(r *kgo.Record) { all = append(all, r) })
}

// eachCommitted calls f for the committed records of a topic, partition by partition in order. A transaction that is being committed is waited for.
func eachCommitted(ctx context.Context, client *kgo.Client, topic string, f func(*kgo.Record)) error {
	parts, err := topicscan.Bounds(ctx, client, topic, false)
	if err != nil {
		return err
	}
	return topicscan.Read(ctx, client, topic, true, parts, func(r *kgo.Record) error {
		f(r)
		return nil
	})
}

// state is what a table's topic says the table holds: the key and the row, as JSON.
func (w *world) state(table string) map[string]string {
	w.t.Helper()
	rows := map[string]string{}
	for _, r := range w.records(table) {
		if len(r.Value) == 0 {
			delete(rows, string(r.Key))
			continue
		}
		var c Change[json.RawMessage]
		if err := json.Unmarshal(r.Value, &c); err != nil {
			w.t.Fatalf("%s: %v", r.Value, err)
		}
		if c.After == nil {
			delete(rows, string(r.Key))
			continue
		}
		rows[string(r.Key)] = string(*c.After)
	}
	return rows
}
