package postgres

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
)

func isError(err, want error) bool { return errors.Is(err, want) }

const ordersSchema = `CREATE TABLE orders (id int8 PRIMARY KEY, note text, total numeric);`

func (w *world) wantState(table string, want map[string]string) {
	w.t.Helper()
	if got := w.state(table); !maps.Equal(got, want) {
		w.t.Errorf("the topic of %s holds\n%v\nwant\n%v", table, got, want)
	}
}

func TestSnapshotThenChanges(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'one', 1.50), (2, NULL, 2), (3, 'three', 3)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{
		`{"id":1}`: `{"id":1,"note":"one","total":"1.50"}`, `{"id":2}`: `{"id":2,"note":null,"total":"2"}`, `{"id":3}`: `{"id":3,"note":"three","total":"3"}`,
	})
	w.exec("INSERT INTO orders VALUES (4, 'four', 4)")
	w.exec("UPDATE orders SET note = 'changed' WHERE id = 1")
	w.exec("DELETE FROM orders WHERE id = 2")
	w.exec("UPDATE orders SET id = 30 WHERE id = 3")
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{
		`{"id":1}`: `{"id":1,"note":"changed","total":"1.50"}`, `{"id":30}`: `{"id":30,"note":"three","total":"3"}`, `{"id":4}`: `{"id":4,"note":"four","total":"4"}`,
	})
	ops := map[string]string{}
	for _, record := range w.records("public.orders") {
		if record.Value == nil {
			ops[string(record.Key)] += "0"
			continue
		}
		var c Change[json.RawMessage]
		if err := json.Unmarshal(record.Value, &c); err != nil {
			t.Fatal(err)
		}
		ops[string(record.Key)] += string(c.Op)
		if c.Source.Table != "orders" || c.Source.Database != w.name || c.Source.Connector != "postgresql" || c.Source.LSN == 0 ||
			(c.Op == Read) != (c.Source.Snapshot == "true") || (c.Op == Read) != (c.Source.TxID == 0) {
			t.Errorf("source %+v of a change %s", c.Source, c.Op)
		}
	}
	if want := map[string]string{`{"id":1}`: "ru", `{"id":2}`: "rd0", `{"id":3}`: "rd0", `{"id":30}`: "c", `{"id":4}`: "c"}; !maps.Equal(ops, want) {
		t.Errorf("changes by key are %v, want %v", ops, want)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	var end string
	if err := w.db.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	lsn, err := ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	at, err := ReadPosition(t.Context(), w.config("orders"))
	if err != nil || at.System == "" || at.LSN == 0 || at.LSN > lsn || len(at.Tables) != 1 || at.Tables[0] != "public.orders" {
		t.Errorf("the position is %+v, %v", at, err)
	}
	other := w.config("orders")
	other.Name = "never_ran"
	if at, err := ReadPosition(t.Context(), other); err != nil || at.LSN != 0 || at.Tables != nil {
		t.Errorf("the position of a connector that has not begun is %+v, %v", at, err)
	}
	w.exec("INSERT INTO orders VALUES (5, 'while away', 5)")
	again := w.run(w.config("orders"))
	w.caughtUp(again)
	if got := w.state("public.orders")[`{"id":5}`]; got != `{"id":5,"note":"while away","total":"5"}` {
		t.Errorf("the row that came while the connector was away is %q", got)
	}
	if n := len(w.records("public.orders")); n != 11 { // ten as above, and the new one
		t.Errorf("%d records after the restart", n)
	}
}
