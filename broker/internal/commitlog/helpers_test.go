package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// t0 is when the tests' logs begin.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const testDir = "data/topic-0"

// testLog is a log with the shorthands that the tests use. Every failure is the test's.
type testLog struct {
	*Log
	t   testing.TB
	now time.Time
}

func openLog(t testing.TB, fsys vfs.FS, cfg Config, o OpenOptions) *testLog {
	t.Helper()
	l, err := tryOpen(fsys, cfg, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return &testLog{Log: l, t: t, now: t0}
}

func tryOpen(fsys vfs.FS, cfg Config, o OpenOptions) (*Log, error) {
	if o.Now.IsZero() {
		o.Now = t0
	}
	if err := fsys.MkdirAll("data", 0o755); err != nil {
		return nil, err
	}
	return Open(fsys, testDir, cfg, o)
}

// remove ends the log as the deletion of its topic does.
func (l *testLog) remove() {
	l.t.Helper()
	if err := errors.Join(l.Discard(), l.fs.RemoveAll(l.dir)); err != nil {
		l.t.Fatal(err)
	}
}

// reopenClean closes the log and opens it as after a clean stop.
func (l *testLog) reopenClean() *testLog {
	l.t.Helper()
	if err := l.Close(); err != nil {
		l.t.Fatalf("close: %v", err)
	}
	return openLog(l.t, l.fs, *l.config(), OpenOptions{Checkpoint: l.Checkpoint(), Clean: true})
}

// reopenDirty opens the log's files once more, as after a kill.
func (l *testLog) reopenDirty(cp Checkpoint) *testLog {
	l.t.Helper()
	return openLog(l.t, l.fs, *l.config(), OpenOptions{Checkpoint: cp})
}

// kv is one record of a test batch.
type kv struct {
	key, value string // "" for the key is null, tombstone for the value is null
	ts         int64  // relative to t0, in milliseconds
}

const tombstone = "\x00"

// batchOpts say what a test batch looks like beyond its records.
type batchOpts struct {
	producer record.Producer
	attrs    record.Attributes
	codec    record.Codec
}

func makeBatch(o batchOpts, records ...kv) record.Batch {
	var b record.Builder
	for _, r := range records {
		key, value := []byte(r.key), []byte(r.value)
		if r.key == "" {
			key = nil
		}
		if r.value == tombstone {
			value = nil
		}
		b.AppendRecord(t0.UnixMilli()+r.ts, key, value, nil)
	}
	if o.producer == (record.Producer{}) {
		o.producer = record.NoProducer
	}
	return b.Finish(o.producer, o.attrs, o.codec)
}

// values makes n records with consecutive values.
func values(from, n int) []kv {
	out := make([]kv, n)
	for i := range out {
		out[i] = kv{key: fmt.Sprintf("k%d", from+i), value: fmt.Sprintf("v%d", from+i), ts: int64(from + i)}
	}
	return out
}

func (l *testLog) append(b record.Batch) AppendInfo {
	l.t.Helper()
	info, err := l.tryAppend(b)
	if err != nil {
		l.t.Fatalf("append: %v", err)
	}
	return info
}

func (l *testLog) tryAppend(b record.Batch) (AppendInfo, error) {
	return l.Append(b, AppendOptions{Now: l.now})
}

// fill appends batches of n records each until the log ends at end or later.
func (l *testLog) fill(end, n int) {
	l.t.Helper()
	for l.End() < Offset(end) {
		l.append(makeBatch(batchOpts{}, values(int(l.End()), n)...))
	}
}

// readAll returns what a reader sees from the log's start to its end, reading at most maxBytes at a time.
func (l *testLog) readAll(maxBytes int) []byte {
	l.t.Helper()
	var out []byte
	for next := l.LogStart(); next < l.End(); {
		res, err := l.Read(nil, next, ReadOptions{MaxBytes: maxBytes, UpTo: l.End(), AtLeastOne: true})
		if err != nil {
			l.t.Fatalf("read at %d: %v", next, err)
		}
		if len(res.Bytes) == 0 {
			break
		}
		if res.Next <= next {
			l.t.Fatalf("read at %d goes back to %d", next, res.Next)
		}
		out = append(out, res.Bytes...)
		next = res.Next
	}
	return out
}

// dump describes the batches and records in data, one line each.
func dump(t testing.TB, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	for b, err := range record.All(data) {
		if err != nil {
			t.Fatalf("walk: %v", err)
		}
		if err := b.Check(); err != nil {
			t.Fatalf("check: %v", err)
		}
		fmt.Fprintf(&out, "[%d-%d", b.BaseOffset(), b.LastOffset())
		if b.ProducerID() >= 0 {
			fmt.Fprintf(&out, " p%d/%d seq %d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
		}
		if m, ok, _ := b.Marker(); ok {
			fmt.Fprintf(&out, " %s", map[record.ControlType]string{record.AbortMarker: "abort", record.CommitMarker: "commit"}[m.Type])
		}
		out.WriteString("]")
		if !b.Attributes().IsControl() {
			it, err := b.Records(nil)
			if err != nil {
				t.Fatal(err)
			}
			var r record.Record
			for it.Next(&r) {
				value := string(r.Value)
				if r.Value == nil {
					value = "-"
				}
				fmt.Fprintf(&out, " %d:%s=%s", r.Offset, r.Key, value)
			}
			if it.Err() != nil {
				t.Fatal(it.Err())
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

func seeded(t testing.TB, seed uint64) *rand.Rand {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// seeds returns how many random runs a test makes: few in a race build, which takes ten times as long.
func seeds(n uint64) uint64 {
	if invariant.Race() {
		return max(n/5, 1)
	}
	return n
}
