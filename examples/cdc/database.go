package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/examples/internal/place"
	"github.com/millrace-io/millrace/internal/pgserver"
)

// schema is where the example's tables are.
const schema = "millrace_cdc"

const tables = `
CREATE SCHEMA millrace_cdc;
CREATE TABLE millrace_cdc.customers (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE millrace_cdc.orders (id bigint PRIMARY KEY, day date NOT NULL,
	customer_id bigint NOT NULL REFERENCES millrace_cdc.customers ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE millrace_cdc.items (id bigint PRIMARY KEY, quantity bigint NOT NULL, cents bigint NOT NULL,
	order_id bigint NOT NULL REFERENCES millrace_cdc.orders ON UPDATE CASCADE ON DELETE CASCADE);
CREATE INDEX ON millrace_cdc.orders (customer_id);
CREATE INDEX ON millrace_cdc.items (order_id);`

// database is a Postgres with the example's tables.
type database struct {
	url    string
	server *pgserver.Server // nil: the user's
}

// openDatabase starts a private server in dir, or takes the one at url, and makes the tables.
func openDatabase(ctx context.Context, url, dir string) (*database, error) {
	d := &database{url: url}
	if url == "" {
		bin, err := findPostgres(dir)
		if err != nil {
			return nil, err
		}
		if d.server, err = pgserver.Start(ctx, pgserver.Config{Bin: bin, Dir: filepath.Join(dir, "postgres")}); err != nil {
			return nil, err
		}
		d.url = d.server.URL("postgres")
	}
	if err := d.exec(ctx, tables); err != nil {
		return nil, errors.Join(fmt.Errorf("make the tables in schema %s, which must not be there yet: %w", schema, err), d.stop())
	}
	return d, nil
}

// findPostgres finds the server's programs on this machine, or brings them.
func findPostgres(dir string) (bin string, err error) {
	if bin, err = pgserver.Find(); err == nil {
		return bin, nil
	}
	at := filepath.Join(dir, "postgres-programs")
	bring := embedded.NewDatabase(embedded.DefaultConfig().RuntimePath(filepath.Join(dir, "postgres-once")).BinariesPath(at).Logger(nil).StartTimeout(time.Minute))
	// The library knows how to fetch and unpack the programs only by starting a server, which fails for root: what counts is that they are there.
	fetched := bring.Start()
	if fetched == nil {
		fetched = bring.Stop()
	}
	if _, missing := os.Stat(filepath.Join(at, "bin", "initdb")); missing != nil {
		return "", fmt.Errorf("there is no Postgres on this machine, and it could not be fetched (%w): install it, for example with apt-get install postgresql, or name a server with --postgres", fetched)
	}
	return filepath.Join(at, "bin"), nil
}

func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, fmt.Errorf("the database does not answer: %w: check --postgres", err)
	}
	return conn, nil
}

func (d *database) exec(ctx context.Context, sql string) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// end is where the write-ahead log ends now, and the identifier of its database cluster: a connector's position counts for that one only.
func (d *database) end(ctx context.Context) (lsn uint64, system string, err error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close(ctx)
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text, system_identifier::text FROM pg_control_system()").Scan(&text, &system); err != nil {
		return 0, "", err
	}
	lsn, err = postgres.ParseLSN(text)
	return lsn, system, err
}

// cleanUp removes what the example made in a database of the user's. The connector must have ended.
func (d *database) cleanUp(ctx context.Context) error {
	if d.server != nil {
		return nil // it goes as a whole
	}
	ctx, cancel := context.WithTimeout(ctx, place.Patience)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `DROP SCHEMA IF EXISTS millrace_cdc CASCADE; DROP PUBLICATION IF EXISTS millrace_cdc`); err != nil {
		return fmt.Errorf("drop schema millrace_cdc: %w", err)
	}
	for { // the server takes a moment to notice that nobody reads the slot; one left behind would keep all write-ahead log
		_, err := conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active`, connector)
		if err != nil {
			return fmt.Errorf("drop slot %s: %w", connector, err)
		}
		left := 0
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1`, connector).Scan(&left); err != nil || left == 0 {
			return err
		}
		if err := pause(ctx, place.PollInterval); err != nil {
			return fmt.Errorf("slot %s is still in use: drop it, or the server keeps all write-ahead log: %w", connector, err)
		}
	}
}

func (d *database) stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}

// answer asks the question in SQL.
func (d *database) answer(ctx context.Context) (map[DayKey]Revenue, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT o.customer_id, c.name, o.day::text, count(*), sum(i.quantity * i.cents)::bigint
		FROM millrace_cdc.items i JOIN millrace_cdc.orders o ON i.order_id = o.id JOIN millrace_cdc.customers c ON o.customer_id = c.id GROUP BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("ask the database: %w", err)
	}
	all := make(map[DayKey]Revenue)
	var k DayKey
	var r Revenue
	_, err = pgx.ForEachRow(rows, []any{&k.Customer, &k.Name, &k.Day, &r.Items, &r.Cents}, func() error {
		all[k] = r
		return nil
	})
	return all, err
}
