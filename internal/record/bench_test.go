package record

import "testing"

func BenchmarkBuilderAppend100B(b *testing.B) {
	var w Builder
	key, value := make([]byte, 10), make([]byte, 90)
	b.ReportAllocs()
	for b.Loop() {
		if w.Len() > 100<<10 {
			w.Reset()
		}
		w.AppendRecord(1_700_000_000_000, key, value, nil)
	}
}

func BenchmarkRecords100B(b *testing.B) {
	var w Builder
	key, value := make([]byte, 10), make([]byte, 90)
	for range 1000 {
		w.AppendRecord(1_700_000_000_000, key, value, nil)
	}
	batch := w.Finish(NoProducer, 0, None)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		it, _ := batch.Records(nil)
		var r Record
		for it.Next(&r) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}

func BenchmarkCheck100KiB(b *testing.B) {
	var w Builder
	value := make([]byte, 100)
	for w.Len() < 100<<10 {
		w.AppendRecord(0, nil, value, nil)
	}
	batch := w.Finish(NoProducer, 0, None)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if err := batch.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckRecords100B(b *testing.B) {
	var w Builder
	value := make([]byte, 100)
	for w.Len() < 100<<10 {
		w.AppendRecord(0, nil, value, nil)
	}
	batch := w.Finish(NoProducer, 0, None)
	n := batch.Count()
	b.ReportAllocs()
	loops := 0
	for b.Loop() {
		loops++
		if _, err := batch.CheckRecords(nil, Rules{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*loops), "ns/record")
}
