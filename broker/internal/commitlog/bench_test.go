package commitlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// batchOfSize makes a batch of about size bytes out of records with 100 byte values.
func batchOfSize(size int) record.Batch {
	var b record.Builder
	value := make([]byte, 100)
	for b.Len() < size {
		b.AppendRecord(t0.UnixMilli(), nil, value, nil)
	}
	return b.Finish(record.NoProducer, 0, record.None)
}

func BenchmarkAppend100KiB(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(vfs.Default, dir+"/t-0", Config{SegmentBytes: 256 << 20, RetentionBytes: 512 << 20, Delete: true}, OpenOptions{Now: t0})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	batch := batchOfSize(100 << 10)
	pristine := append(record.Batch(nil), batch...)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		copy(batch, pristine)
		if _, err := l.Append(batch, AppendOptions{Now: t0}); err != nil {
			b.Fatal(err)
		}
		if i%4096 == 0 {
			if _, err := l.DeleteOldSegments(t0, l.End()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRead1MiB(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(vfs.Default, dir+"/t-0", Config{}, OpenOptions{Now: t0})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for l.Size() < 64<<20 {
		if _, err := l.Append(batchOfSize(100<<10), AppendOptions{Now: t0}); err != nil {
			b.Fatal(err)
		}
	}
	buf := make([]byte, 0, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	var next Offset
	for b.Loop() {
		res, err := l.Read(buf, next, ReadOptions{MaxBytes: 1 << 20, UpTo: l.End()})
		if err != nil {
			b.Fatal(err)
		}
		if next = res.Next; next >= l.End() {
			next = 0
		}
	}
}
