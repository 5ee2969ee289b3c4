package postgres

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkChanges reports how many changes a second pass from committed transactions to committed records, the database's own work on them included: it
// changes the rows and brings the changes, in full swing from an idle connector to the last one confirmed. Run it with MILLRACE_POSTGRES=1.
func BenchmarkChanges(b *testing.B) {
	const keys, perTransaction = 50_000, 500
	p, db := newProcesses(b, ownServer(b, nil), fmt.Sprintf(`CREATE TABLE counted (id int PRIMARY KEY, version int NOT NULL, fill text) WITH (fillfactor = 50);
		INSERT INTO counted SELECT g, 0, repeat('x', 100) FROM generate_series(1, %d) g`, keys))
	p.start("counted")
	p.source.Stderr.Line(b, p.source, "msg=streaming")
	changes, begun, cpu := 0, time.Now(), p.cpu(b)
	for first := 0; b.Loop(); first = (first + perTransaction) % keys {
		if _, err := db.Exec(b.Context(), "UPDATE counted SET version = version + 1 WHERE id > $1 AND id <= $2", first, first+perTransaction); err != nil {
			b.Fatal(err)
		}
		changes += perTransaction
	}
	p.settled(db)
	took := time.Since(begun)
	b.ReportMetric(float64(changes)/took.Seconds(), "changes/s")
	b.ReportMetric(float64((p.cpu(b)-cpu).Nanoseconds())/float64(changes), "connector-cpu-ns/change")
	b.ReportMetric(0, "ns/op")
}

// cpu is the processor time that the connector has used.
func (p *processes) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.source.Pid()))
	if err != nil {
		return 0 // not on Linux
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] { // user and system time, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}
