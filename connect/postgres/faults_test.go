package postgres

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/pgserver"
)

// ownServer is a Postgres for one test, with settings of its own.
func ownServer(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	needPostgres(t)
	s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: t.TempDir(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Kill() })
	return s
}

func TestServerWithoutLogicalDecodingIsRefused(t *testing.T) {
	w := newWorld(t, ownServer(t, map[string]string{"wal_level": "replica"}), ordersSchema)
	w.run(w.config("orders")).ends(ErrWALLevel, "ALTER SYSTEM SET wal_level = logical")
}

func TestUserWithoutPrivilegeIsRefused(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN`)
	cfg := w.config("orders")
	u, err := url.Parse(cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("plain")
	cfg.Database = u.String()
	w.run(cfg).ends(ErrNoPrivilege, `ALTER ROLE "plain" REPLICATION`)
	w.exec("ALTER ROLE plain REPLICATION")
	w.run(cfg).ends(ErrNoPrivilege, "permission denied") // to make the publication
	w.exec(fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE orders", w.name))
	w.run(cfg).ends(ErrNoPrivilege, "permission denied") // to read the table
	w.exec("GRANT SELECT ON orders TO plain")
	w.caughtUp(w.run(cfg))
}

func TestSlotInUseIsToldAfterAWait(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	first := w.run(w.config("orders"))
	w.caughtUp(first)
	cfg := w.config("orders")
	cfg.SlotWait = time.Nanosecond
	w.run(cfg).ends(ErrSlotInUse, "is another connector of this name running?")
}

func TestLostSlotAsksForANewSnapshot(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(w *world)
		text string
	}{
		{"gone", (*world).dropSlot, "is gone"},
		{"made anew", func(w *world) {
			w.dropSlot()
			w.exec("INSERT INTO orders VALUES (9, 'missed', 9)")
			w.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", w.name)
		}, "has moved"},
		{"read by somebody else", func(w *world) {
			w.exec("INSERT INTO orders VALUES (9, 'missed', 9)")
			w.exec("SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", w.name)
		}, "has moved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)`)
			r := w.run(w.config("orders"))
			w.caughtUp(r)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			w.eventuallyDone("the slot is free", func() bool {
				var active bool
				err := w.db.QueryRow(t.Context(), "SELECT active FROM pg_replication_slots WHERE slot_name = $1", w.name).Scan(&active)
				return err == nil && !active
			})
			c.lose(w)
			w.exec("DELETE FROM orders WHERE id = 1")
			w.run(w.config("orders")).ends(ErrSlotLost, c.text)

			cfg := w.config("orders")
			cfg.Resnapshot = true
			w.caughtUp(w.run(cfg))
			want := map[string]string{`{"id":2}`: `{"id":2,"note":"b","total":"2"}`}
			if c.name != "gone" {
				want[`{"id":9}`] = `{"id":9,"note":"missed","total":"9"}`
			}
			w.wantState("public.orders", want)
		})
	}
}

// A new slot makes all former snapshots worthless, also when the connector dies before it has taken the new ones.
func TestKillAmidANewSnapshotForgetsTheFormerOnes(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)`)
	first := w.run(w.config("orders"))
	w.caughtUp(first)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	w.dropSlot()
	w.exec("DELETE FROM orders WHERE id = 1; INSERT INTO orders VALUES (3, 'c', 3)")
	source, err := New(w.config("orders"))
	if err != nil {
		t.Fatal(err)
	}
	dying := &session{Source: source}
	if err := dying.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := dying.resume(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	dying.close()
	w.caughtUp(w.run(w.config("orders")))
	w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"b","total":"2"}`, `{"id":3}`: `{"id":3,"note":"c","total":"3"}`})
}

func TestTableTakenOutOfThePublicationGetsANewSnapshot(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE other (id int PRIMARY KEY); INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)`)
	r := w.run(w.config("orders", "other"))
	w.caughtUp(r)
	w.exec(fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE orders", w.name))
	w.exec("DELETE FROM orders WHERE id = 1; INSERT INTO orders VALUES (3, 'c', 3)")
	r.ends(ErrTableGone, "public.orders")
	w.caughtUp(w.run(w.config("orders", "other")))
	w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"b","total":"2"}`, `{"id":3}`: `{"id":3,"note":"c","total":"3"}`})
}

func TestInvalidatedSlotAsksForANewSnapshot(t *testing.T) {
	server := ownServer(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	w := newWorld(t, server, ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		w.exec("SELECT pg_switch_wal(), txid_current()")
		w.exec("INSERT INTO orders SELECT g, repeat('x', 1000), 1 FROM generate_series(1, 20000) g")
		w.exec("TRUNCATE orders")
		w.exec("CHECKPOINT")
	}
	w.run(w.config("orders")).ends(ErrSlotLost, "max_slot_wal_keep_size")
}

func TestTableWithoutPrimaryKeyIsRefused(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE heap (a int)`)
	w.run(w.config("heap")).ends(ErrNoPrimaryKey, "public.heap")
}

func TestTableThatIsNotThereIsRefused(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	w.run(w.config("ordres")).ends(ErrNoMatch, `"ordres"`)
	w.run(w.config("shop.*")).ends(ErrNoMatch, "shop.*")
}

func TestDroppedTableEndsTheSource(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE other (id int PRIMARY KEY)`)
	r := w.run(w.config("o*"))
	w.caughtUp(r)
	w.exec("DROP TABLE other")
	r.ends(ErrTableGone, "public.other")
	w.exec("INSERT INTO orders VALUES (1, 'after', 1)")
	w.caughtUp(w.run(w.config("o*"))) // the pattern does not ask for it
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"after","total":"1"}`})
}

func TestTruncatedTableEndsTheSource(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec("TRUNCATE orders")
	r.ends(ErrTruncated, "public.orders")
	w.exec("INSERT INTO orders VALUES (2, 'b', 2)")
	w.run(w.config("orders")).ends(ErrTruncated, "Ask for a new snapshot")
	cfg := w.config("orders")
	cfg.Resnapshot = true
	w.caughtUp(w.run(cfg))
	w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"b","total":"2"}`})
}

func TestChangedTypeEndsTheSourceUnlessAccepted(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec("ALTER TABLE orders ALTER total TYPE int8")
	w.exec("INSERT INTO orders VALUES (1, 'a', 1)")
	r.ends(ErrTypeChanged, "column total was numeric and is int8 now")
	cfg := w.config("orders")
	cfg.AcceptTypes = true
	w.caughtUp(w.run(cfg))
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":1}`})
}

func TestNewColumnsAreSeenWhileRunning(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec("ALTER TABLE orders ADD urgent bool")
	w.exec("INSERT INTO orders VALUES (1, 'a', 1, true)")
	w.exec("ALTER TABLE orders DROP note")
	w.exec("INSERT INTO orders VALUES (2, 2, false)")
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":"1","urgent":true}`, `{"id":2}`: `{"id":2,"total":"2","urgent":false}`})
}

func TestTableThatJoinsIsSnapshotWhileOthersGoOn(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("o*"))
	w.caughtUp(r)
	w.exec("CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1), (2)")
	w.eventuallyDone("the new table has its snapshot", func() bool {
		return r.source.Stats().SnapshotTable == "public.other" && r.source.Stats().State == Streaming
	})
	w.exec("INSERT INTO other VALUES (3); DELETE FROM other WHERE id = 1; INSERT INTO orders VALUES (1, 'a', 1)")
	w.caughtUp(r)
	w.wantState("public.other", map[string]string{`{"id":2}`: `{"id":2}`, `{"id":3}`: `{"id":3}`})
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":"1"}`})
}

func TestTableLeftOutForAWhileGetsANewSnapshot(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1), (2)`)
	for _, tables := range [][]string{{"orders", "other"}, {"orders"}, {"orders", "other"}} {
		r := w.run(w.config(tables...))
		w.caughtUp(r)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		w.exec("DELETE FROM other WHERE id = 1")
	}
	w.wantState("public.other", map[string]string{`{"id":2}`: `{"id":2}`})
}

func TestDatabaseRestartIsWaitedFor(t *testing.T) {
	server := ownServer(t, nil)
	w := newWorld(t, server, ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	for i, stop := range []func() error{server.Stop, server.Kill} {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		w.eventuallyDone("the source waits, visibly", func() bool {
			s := r.source.Stats()
			return s.State == Waiting && s.Detail != ""
		})
		if err := server.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.connect()
		w.exec("INSERT INTO orders VALUES ($1, 'x', 1)", i)
		w.caughtUp(r)
	}
	if n := len(w.records("public.orders")); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

func TestAbsentDatabaseIsGivenUp(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	cfg := w.config("orders")
	cfg.Database, cfg.RetryFor = "postgres://x@127.0.0.1:1/x", 300*time.Millisecond
	w.run(cfg).ends(ErrUnavailable, "tries")
}

func TestUnknownDatabaseIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	cfg := w.config("orders")
	cfg.Database = w.server.URL("nowhere")
	if err := w.run(cfg).end(); err == nil || isError(err, ErrUnavailable) {
		t.Errorf("a database that does not exist: %v", err)
	}
}

func TestLogRestartIsWaitedFor(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	for i := range 4 {
		w.exec("INSERT INTO orders SELECT g, 'x', 1 FROM generate_series($1::int, $2::int) g", 1000*i, 1000*i+999)
		w.broker.Kill()
	}
	w.caughtUp(r)
	if n, rows := len(w.records("public.orders")), len(w.state("public.orders")); n != 4000 || rows != 4000 {
		t.Errorf("%d records and %d rows, want 4000", n, rows)
	}
}

func TestQuietTableLetsTheSlotAdvance(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE busy (id int PRIMARY KEY, v int)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	for range 3 {
		w.exec("INSERT INTO busy SELECT g, 1 FROM generate_series(1, 5000) g; DELETE FROM busy")
		w.caughtUp(r) // the slot passes what does not concern it
	}
	if n := len(w.records("public.orders")); n != 0 {
		t.Errorf("%d records of a quiet table", n)
	}
	w.eventuallyDone("the lag is zero", func() bool { return r.source.Stats().LagBytes == 0 })
}

func TestLargeTransactionPassesInPieces(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	w.exec("INSERT INTO orders SELECT g, repeat('x', 500), 1 FROM generate_series(1, 100000) g") // some 60 MB, twice what may wait for the log
	w.caughtUp(r)
	if n := len(w.records("public.orders")); n != 100000 {
		t.Errorf("%d records, want 100000", n)
	}
}
