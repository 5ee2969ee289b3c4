package commitlog

import (
	"fmt"
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

// BenchmarkOpen1000 opens 1000 logs with one segment each, as after a clean stop and as after a kill.
func BenchmarkOpen1000(b *testing.B) {
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("clean=%v", clean), func(b *testing.B) {
			dir := b.TempDir()
			points := make([]Checkpoint, 1000)
			for i := range points {
				l, err := Open(vfs.Default, fmt.Sprintf("%s/t-%d", dir, i), Config{}, OpenOptions{Now: t0})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := l.Append(batchOfSize(10<<10), AppendOptions{Now: t0}); err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				points[i] = l.Checkpoint()
			}
			for b.Loop() {
				for i, cp := range points {
					l, err := Open(vfs.Default, fmt.Sprintf("%s/t-%d", dir, i), Config{}, OpenOptions{Checkpoint: cp, Clean: clean, Now: t0})
					if err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					for _, s := range l.segs() {
						_ = s.release()
					}
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkRecover256MiB opens a log after a kill with nothing flushed: every byte is read.
func BenchmarkRecover256MiB(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(vfs.Default, dir+"/t-0", Config{}, OpenOptions{Now: t0})
	if err != nil {
		b.Fatal(err)
	}
	for l.Size() < 256<<20 {
		if _, err := l.Append(batchOfSize(100<<10), AppendOptions{Now: t0}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(l.Size())
	for b.Loop() {
		if _, err := Open(vfs.Default, dir+"/t-0", Config{}, OpenOptions{Now: t0}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClean32MiB compacts 100 byte records, nine of ten superseded.
func BenchmarkClean32MiB(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		l, err := Open(vfs.NewMem(), "t-0", Config{SegmentBytes: 32 << 20, Compact: true}, OpenOptions{Now: t0})
		if err != nil {
			b.Fatal(err)
		}
		var w record.Builder
		for n := 0; l.Size() < 32<<20; {
			w.Reset()
			for w.Len() < 16<<10 {
				w.AppendRecord(t0.UnixMilli(), fmt.Appendf(nil, "key-%d", n%25_000), make([]byte, 100), nil)
				n++
			}
			if _, err := l.Append(w.Finish(record.NoProducer, 0, record.None), AppendOptions{Now: t0}); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Roll(t0); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(l.Size())
		b.StartTimer()
		if _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: t0}); err != nil {
			b.Fatal(err)
		}
	}
}
