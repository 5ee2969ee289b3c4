package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/pgserver"
	"github.com/millrace-io/millrace/internal/proctest"
)

// count reads a test's size from the environment.
func count(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, text, err)
	}
	return n
}

// processes is a connector in a process of its own, with a log server in another.
type processes struct {
	t        testing.TB
	url      string
	name     string
	brokers  string
	source   *proctest.Process
	peak     int64 // most memory that a connector had, in bytes
	retained int64 // most write-ahead log that the slot kept
}

func newProcesses(t testing.TB, server *pgserver.Server, schema string) (*processes, *pgx.Conn) {
	t.Helper()
	url := server.URL("postgres")
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	if _, err := db.Exec(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	_, address := proctest.Broker(t, t.TempDir(), "")
	return &processes{t: t, url: url, name: "killed", brokers: address}, db
}

func (p *processes) start(tables string) {
	p.t.Helper()
	p.source = proctest.Launch(p.t, "millrace", "cdc", "postgres", "--database", p.url, "--tables", tables, "--name", p.name, "--brokers", p.brokers,
		"--heartbeat", "100ms", "--progress", "0", "--verbose")
}

// kill ends the connector with SIGKILL and notes how much memory it had.
func (p *processes) kill() {
	p.t.Helper()
	p.memory()
	select {
	case <-p.source.Exited:
		p.t.Fatalf("the connector ended by itself\n%s", p.source.Stderr)
	default:
	}
	p.source.Kill()
}

// memory looks how much memory the connector has had at most.
func (p *processes) memory() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.source.Pid()))
	if err != nil {
		return // not on Linux
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			p.peak = max(p.peak, kib<<10)
		}
	}
}

// settled waits until the slot has nothing left, and that it has no lag.
func (p *processes) settled(db *pgx.Conn) {
	p.t.Helper()
	var end string
	if err := db.QueryRow(p.t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		p.t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); ; <-tick.C {
		select {
		case <-p.source.Exited:
			p.t.Fatalf("the connector ended by itself\n%s", p.source.Stderr)
		default:
		}
		var done bool
		err := db.QueryRow(p.t.Context(), `SELECT coalesce(bool_or(confirmed_flush_lsn >= $1::pg_lsn AND active), false)
			FROM pg_replication_slots WHERE slot_name = $2`, end, p.name).Scan(&done)
		if err != nil {
			p.t.Fatal(err)
		}
		if done {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the connector does not catch up\n%s", p.source.Stderr)
		}
	}
}

// each calls f for the committed records of a topic, partition by partition in order.
func (p *processes) each(topic string, f func(*kgo.Record)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.brokers))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	if err := eachCommitted(ctx, client, topic, f); err != nil {
		p.t.Fatal(err)
	}
}

// mostMemory is what a connector may take: 32 MiB on their way to the log, 2 MiB read ahead, each several times over in encoders and the garbage collector.
const mostMemory = 400 << 20

// TestKilledConnectorLosesAndRepeatsNothing changes rows at full load while the connector is killed, and follows each key's versions through its topic:
// every one exactly once, in order.
func TestKilledConnectorLosesAndRepeatsNothing(t *testing.T) {
	changes, kills := count(t, "MILLRACE_CDC_CHANGES", 20_000), count(t, "MILLRACE_CDC_KILLS", 3)
	const keys, perTransaction = 500, 100
	p, db := newProcesses(t, ownServer(t, nil), fmt.Sprintf(`CREATE TABLE counted (id int PRIMARY KEY, version int NOT NULL, fill text);
		INSERT INTO counted SELECT g, 0, repeat('x', 100) FROM generate_series(1, %d) g`, keys))
	p.start("counted")

	versions := make([]int, keys+1) // what is committed
	done := make(chan error, 1)
	var made atomic.Int64  // changes so far
	var enough atomic.Bool // all kills are done
	go func() {
		rng := rand.New(rand.NewPCG(3, 4))
		writer, err := pgx.Connect(context.Background(), p.url)
		if err != nil {
			done <- err
			return
		}
		defer writer.Close(context.Background())
		for n := 0; n < changes || !enough.Load(); n += perTransaction {
			first := 1 + rng.IntN(keys-perTransaction+1)
			rollback := rng.IntN(10) == 0
			_, err := writer.Exec(context.Background(), fmt.Sprintf("BEGIN; UPDATE counted SET version = version + 1 WHERE id >= %d AND id < %d; %s",
				first, first+perTransaction, map[bool]string{true: "ROLLBACK", false: "COMMIT"}[rollback]))
			if err != nil {
				done <- err
				return
			}
			if !rollback {
				for id := first; id < first+perTransaction; id++ {
					versions[id]++
				}
			}
			made.Store(int64(n))
		}
		done <- nil
	}()
	// follow looks at the writer and the slot until the writer has made so many changes or has ended.
	follow := func(until int64) (ended bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for made.Load() < until {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				return true
			case <-tick.C:
			}
			var retained int64
			err := db.QueryRow(t.Context(), "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::int8 FROM pg_replication_slots").Scan(&retained)
			if err != nil {
				t.Fatal(err)
			}
			p.retained = max(p.retained, retained)
		}
		return false
	}
	for range kills {
		p.source.Stderr.Line(t, p.source, "msg=streaming")
		follow(made.Load() + int64(changes/(kills+1)))
		p.kill()
		p.start("counted")
	}
	enough.Store(true)
	for !follow(math.MaxInt64) {
	}
	p.settled(db)
	p.memory()

	last := make([]int, keys+1)
	seen := make([]int, keys+1)
	p.each(p.name+".public.counted", func(r *kgo.Record) {
		var c Change[struct{ ID, Version int }]
		if err := json.Unmarshal(r.Value, &c); err != nil {
			t.Fatal(err)
		}
		id, version := c.After.ID, c.After.Version
		if seen[id] > 0 && version != last[id]+1 || c.Op == Read && seen[id] > 0 {
			t.Fatalf("partition %d, offset %d: key %d comes with version %d after %d", r.Partition, r.Offset, id, version, last[id])
		}
		last[id] = version
		seen[id]++
	})
	for id := 1; id <= keys; id++ {
		if last[id] != versions[id] || seen[id] == 0 {
			t.Errorf("key %d ends with version %d, want %d", id, last[id], versions[id])
		}
	}
	t.Logf("%d changes, %d kills; a connector took %d MiB at most, the slot kept %d MiB at most", made.Load(), kills, p.peak>>20, p.retained>>20)
	if p.peak > mostMemory {
		t.Errorf("a connector took %d MiB", p.peak>>20)
	}
	if limit := int64(256 << 20); p.retained > limit {
		t.Errorf("the slot kept %d MiB of write-ahead log", p.retained>>20)
	}
}

// TestSnapshotOfATableThatChanges reads a large table while it changes, with kills in the middle of the snapshot.
func TestSnapshotOfATableThatChanges(t *testing.T) {
	rows, kills := count(t, "MILLRACE_CDC_ROWS", 50_000), 2
	p, db := newProcesses(t, ownServer(t, nil), fmt.Sprintf(`CREATE TABLE large (id int PRIMARY KEY, version int NOT NULL, fill text);
		INSERT INTO large SELECT g, 0, repeat('y', 60) FROM generate_series(1, %d) g; ANALYZE large`, rows))
	p.start("large")
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		writer, err := pgx.Connect(context.Background(), p.url)
		if err != nil {
			done <- err
			return
		}
		defer writer.Close(context.Background())
		rng := rand.New(rand.NewPCG(5, 6))
		for fresh := rows; ; {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			fresh++
			batch := &pgx.Batch{}
			batch.Queue("UPDATE large SET version = version + 1 WHERE id = any($1)", []int{1 + rng.IntN(rows), 1 + rng.IntN(rows), 1 + rng.IntN(rows)})
			batch.Queue("DELETE FROM large WHERE id = $1", 1+rng.IntN(rows))
			batch.Queue("INSERT INTO large VALUES ($1, 0, 'new')", fresh)
			batch.Queue("UPDATE large SET id = $2 WHERE id = $1", 1+rng.IntN(rows), -fresh)
			if err := writer.SendBatch(context.Background(), batch).Close(); err != nil {
				done <- err
				return
			}
		}
	}()
	for range kills {
		p.source.Stderr.Line(t, p.source, "msg=snapshot") // it has begun
		p.kill()
		p.start("large")
	}
	p.source.Stderr.Line(t, p.source, "msg=snapshot")
	p.source.Stderr.Line(t, p.source, "msg=streaming")
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.settled(db)
	p.memory()

	type state struct{ version int }
	have := make(map[int]state, rows)
	p.each(p.name+".public.large", func(r *kgo.Record) {
		var key struct{ ID int }
		if err := json.Unmarshal(r.Key, &key); err != nil {
			t.Fatal(err)
		}
		if len(r.Value) == 0 {
			delete(have, key.ID)
			return
		}
		var c Change[struct{ ID, Version int }]
		if err := json.Unmarshal(r.Value, &c); err != nil {
			t.Fatal(err)
		}
		switch was, there := have[key.ID]; {
		case c.Op == Delete:
			delete(have, key.ID)
		case c.Op == Read && there:
			t.Fatalf("key %d is in the snapshot twice, or after a change", key.ID)
		case c.Op == Update && !there:
			t.Fatalf("key %d changes before it is there", key.ID)
		case c.Op == Update && c.After.Version != was.version+1:
			t.Fatalf("key %d goes from version %d to %d", key.ID, was.version, c.After.Version)
		default:
			have[key.ID] = state{version: c.After.Version}
		}
	})
	rowsNow, err := db.Query(t.Context(), "SELECT id, version FROM large")
	if err != nil {
		t.Fatal(err)
	}
	var id, version, n int
	if _, err := pgx.ForEachRow(rowsNow, []any{&id, &version}, func() error {
		n++
		if got, ok := have[id]; !ok || got.version != version {
			return fmt.Errorf("row %d has version %d in SQL, and %d (there: %t) in the topic", id, version, got.version, ok)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n != len(have) {
		t.Errorf("%d rows in SQL, %d in the topic", n, len(have))
	}
	t.Logf("%d rows in the end, the connector took %d MiB at most", n, p.peak>>20)
	if p.peak > mostMemory {
		t.Errorf("a connector took %d MiB", p.peak>>20)
	}
}
