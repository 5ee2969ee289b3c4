package postgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/internal/pgserver"
)

// What a role, a database or their owner have set for themselves does not change what is in the topics.
func TestSettingsOfTheRoleDoNotMatter(t *testing.T) {
	w := newWorld(t, ownServer(t, nil), `CREATE TABLE v (id int PRIMARY KEY, d date, ts timestamptz, i interval, f float8, b bytea, m money);
		INSERT INTO v VALUES (1, '2024-02-03', '2024-02-03 04:05:06+00', '1 day 02:00:00', 0.1, '\x00ff', 1)`)
	for _, set := range []string{"DateStyle = 'German, DMY'", "IntervalStyle = iso_8601", "extra_float_digits = -10", "TimeZone = 'Asia/Kolkata'", "bytea_output = escape",
		"client_encoding = LATIN1", "standard_conforming_strings = off", "search_path = information_schema", "lock_timeout = 1", "statement_timeout = 1",
		"default_transaction_read_only = on", "idle_session_timeout = 1", "default_transaction_isolation = serializable", "quote_all_identifiers = on"} {
		w.exec("ALTER ROLE millrace SET " + set)
	}
	defer w.exec("ALTER ROLE millrace RESET ALL")
	r := w.run(w.config("v"))
	w.caughtUp(r)
	w.exec("SET standard_conforming_strings = on; INSERT INTO v SELECT 2, d, ts, i, f, b, m FROM v")
	w.caughtUp(r)
	const rest = `"d":"2024-02-03","ts":"2024-02-03T04:05:06Z","i":"1 day 02:00:00","f":0.1,"b":"AP8=","m":"$1.00"}`
	w.wantState("public.v", map[string]string{`{"id":1}`: `{"id":1,` + rest, `{"id":2}`: `{"id":2,` + rest})
}

// inEncoding is a database of another encoding than UTF-8.
func (w *world) inEncoding(encoding string) {
	w.t.Helper()
	w.exec(fmt.Sprintf("CREATE DATABASE %s_e TEMPLATE template0 ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C'", w.name, encoding))
	w.url = w.server.URL(w.name+"_e") + "&client_encoding=UTF8"
	w.connect()
}

func TestDatabaseInAnotherEncoding(t *testing.T) {
	w := newWorld(t, sharedServer(t), "")
	w.inEncoding("LATIN1")
	w.exec(`CREATE TABLE "bücher" (id text PRIMARY KEY, "preis" text, s text[]); INSERT INTO "bücher" VALUES ('ä', '10 £', '{é,ß}')`)
	r := w.run(w.config("bücher"))
	w.caughtUp(r)
	w.exec(`INSERT INTO "bücher" VALUES ('ö', 'ü', '{þ}')`)
	w.caughtUp(r)
	w.wantState("public.b-c3-bccher", map[string]string{`{"id":"ä"}`: `{"id":"ä","preis":"10 £","s":["é","ß"]}`, `{"id":"ö"}`: `{"id":"ö","preis":"ü","s":["þ"]}`})
}

// A database without an encoding may hold bytes that are no text. Two keys would become one.
func TestBytesThatAreNoTextAreRefused(t *testing.T) {
	for _, when := range []string{"snapshot", "stream"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t, sharedServer(t), "")
			w.inEncoding("SQL_ASCII")
			w.exec(`CREATE TABLE raw (id text PRIMARY KEY); INSERT INTO raw VALUES ('plain')`)
			const bad = `INSERT INTO raw VALUES (E'\xe4'), (E'\xf6')`
			if when == "snapshot" {
				w.exec(bad)
			}
			r := w.run(w.config("raw"))
			if when == "stream" {
				w.caughtUp(r)
				w.exec(bad)
			}
			r.ends(errNoText, "mend the row")
		})
	}
}

// A table keeps its topic while it has another name, if it has its own back before anybody looks.
func TestTableRenamedWithinATransactionLosesNothing(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec(`BEGIN; ALTER TABLE orders RENAME TO aside; INSERT INTO aside VALUES (1, 'aside', 1); ALTER TABLE aside RENAME TO orders; COMMIT`)
	w.exec(`BEGIN; CREATE SCHEMA aside; ALTER TABLE orders SET SCHEMA aside; INSERT INTO aside.orders VALUES (2, 'aside', 2); ALTER TABLE aside.orders SET SCHEMA public; COMMIT`)
	w.exec(`INSERT INTO orders VALUES (3, 'back', 3)`)
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{
		`{"id":1}`: `{"id":1,"note":"aside","total":"1"}`, `{"id":2}`: `{"id":2,"note":"aside","total":"2"}`, `{"id":3}`: `{"id":3,"note":"back","total":"3"}`,
	})
}

func TestTwoTablesChangePlaces(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'old', 1); CREATE TABLE fresh (id int8 PRIMARY KEY, note text, total numeric);
		INSERT INTO fresh VALUES (2, 'new', 2)`)
	r := w.run(w.config("orders", "fresh"))
	w.caughtUp(r)
	w.exec(`BEGIN; ALTER TABLE orders RENAME TO old; ALTER TABLE fresh RENAME TO orders; ALTER TABLE old RENAME TO fresh;
		INSERT INTO orders VALUES (3, 'new', 3); INSERT INTO fresh VALUES (4, 'old', 4); COMMIT`)
	w.eventuallyDone("both topics have the rows of their tables", func() bool {
		return len(w.state("public.orders")) == 2 && w.state("public.orders")[`{"id":3}`] != "" && w.state("public.fresh")[`{"id":4}`] != ""
	})
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"new","total":"2"}`, `{"id":3}`: `{"id":3,"note":"new","total":"3"}`})
	w.wantState("public.fresh", map[string]string{`{"id":1}`: `{"id":1,"note":"old","total":"1"}`, `{"id":4}`: `{"id":4,"note":"old","total":"4"}`})
}

// A database that was set back to an earlier state, as from an image of its disk, has not what the topics have, and its next changes would count as known.
func TestDatabaseThatWasSetBackIsRefused(t *testing.T) {
	needPostgres(t)
	dir := t.TempDir()
	server, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Kill() })
	w := newWorld(t, server, ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	copyTree := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	copyTree(dir, image)
	if err := server.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.connect()
	w.exec("INSERT INTO orders SELECT g, repeat('x', 1000), 1 FROM generate_series(1, 5000) g")
	r = w.run(w.config("orders"))
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", "rm -rf "+dir+"/*").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	copyTree(image+"/.", dir)
	if err := server.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.connect()
	w.exec("INSERT INTO orders VALUES (-1, 'after', 1)")
	w.run(w.config("orders")).ends(ErrSlotLost, "set back")
	cfg := w.config("orders")
	cfg.Resnapshot = true
	w.caughtUp(w.run(cfg))
	w.wantState("public.orders", map[string]string{`{"id":-1}`: `{"id":-1,"note":"after","total":"1"}`})
}

func TestPreparedTransactionsAndSavepoints(t *testing.T) {
	w := newWorld(t, ownServer(t, map[string]string{"max_prepared_transactions": "5"}), ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec(`BEGIN`)
	w.exec(`INSERT INTO orders VALUES (1, 'kept', 1); SAVEPOINT a; INSERT INTO orders VALUES (2, 'undone', 2); ROLLBACK TO a; SAVEPOINT b;
		INSERT INTO orders VALUES (3, 'kept', 3); RELEASE b; SELECT pg_logical_emit_message(true, 'p', 'm'); PREPARE TRANSACTION 'x'`)
	w.exec(`SELECT pg_logical_emit_message(false, 'p', 'm')`)
	w.exec(`BEGIN`)
	w.exec(`INSERT INTO orders VALUES (4, 'undone', 4); PREPARE TRANSACTION 'y'`)
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec(`COMMIT PREPARED 'x'`)
	w.exec(`ROLLBACK PREPARED 'y'`)
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"kept","total":"1"}`, `{"id":3}`: `{"id":3,"note":"kept","total":"3"}`})
}

func TestSchemaChangesInMidStream(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE t (id int PRIMARY KEY, a text, g int GENERATED ALWAYS AS (id * 2) STORED, b text, n int GENERATED BY DEFAULT AS IDENTITY)`)
	r := w.run(w.config("t"))
	w.caughtUp(r)
	w.exec(`INSERT INTO t (id, a, b) VALUES (1, 'x', 'y')`)
	w.exec(`BEGIN; INSERT INTO t (id, a, b) VALUES (2, 'x', 'y'); ALTER TABLE t RENAME a TO c; INSERT INTO t (id, c, b) VALUES (3, 'x', 'y');
		ALTER TABLE t DROP b; INSERT INTO t (id, c) VALUES (4, 'x'); ALTER TABLE t ADD b text DEFAULT 'again'; INSERT INTO t (id, c) VALUES (5, 'x');
		ALTER TABLE t DROP g; UPDATE t SET c = 'z' WHERE id = 1; COMMIT`)
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.exec(`INSERT INTO t (id, c) VALUES (6, 'x'); ALTER TABLE t DROP c; INSERT INTO t (id) VALUES (7)`)
	w.caughtUp(w.run(w.config("t")))
	w.wantState("public.t", map[string]string{
		`{"id":1}`: `{"id":1,"c":"z","n":1,"b":"again"}`, `{"id":2}`: `{"id":2,"a":"x","b":"y","n":2}`, `{"id":3}`: `{"id":3,"c":"x","b":"y","n":3}`,
		`{"id":4}`: `{"id":4,"c":"x","n":4}`, `{"id":5}`: `{"id":5,"c":"x","n":5,"b":"again"}`, `{"id":6}`: `{"id":6,"c":"x","n":6,"b":"again"}`, `{"id":7}`: `{"id":7,"n":7,"b":"again"}`,
	})
}

// A row that is too large for the topic is not passed over, neither by the snapshot nor by the stream.
func TestRowThatIsTooLargeIsNotLost(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	w.exec("INSERT INTO orders VALUES (1, repeat('x', 20 * 1024 * 1024), 1), (2, 'small', 2)")
	w.run(w.config("orders")).ends(errTooLarge, ".public.orders")
	w.exec("UPDATE orders SET note = 'small' WHERE id = 1")
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec("INSERT INTO orders VALUES (3, repeat('x', 20 * 1024 * 1024), 1); INSERT INTO orders VALUES (4, 'after', 4)")
	r.ends(errTooLarge, ".public.orders")
	w.exec("DELETE FROM orders WHERE id = 3")
	w.run(w.config("orders")).ends(errTooLarge, ".public.orders") // the stream still has it
	cfg := w.config("orders")
	cfg.Resnapshot = true
	w.caughtUp(w.run(cfg))
	w.wantState("public.orders", map[string]string{
		`{"id":1}`: `{"id":1,"note":"small","total":"1"}`, `{"id":2}`: `{"id":2,"note":"small","total":"2"}`, `{"id":4}`: `{"id":4,"note":"after","total":"4"}`,
	})
}
