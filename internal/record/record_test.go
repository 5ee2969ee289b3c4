package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sample returns a builder with n records that have every shape a record can have.
func sample(n int) *Builder {
	b := new(Builder)
	for i := range n {
		var key, value []byte
		var headers []Header
		if i%3 != 0 {
			key = []byte(fmt.Sprintf("key-%d", i))
		}
		if i%5 != 0 {
			value = bytes.Repeat([]byte{byte(i)}, i%300)
		}
		if i%4 == 0 {
			headers = []Header{{"h", []byte("x")}, {"", nil}, {"empty", []byte{}}}
		}
		b.AppendRecord(1_000_000+int64(i%7)*1000-int64(i), key, value, headers)
	}
	return b
}

func collect(t testing.TB, b Batch) []Record {
	t.Helper()
	it, err := b.Records(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	var r Record
	for it.Next(&r) {
		out = append(out, r)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

func TestBuiltBatchReadsBackForEveryCodec(t *testing.T) {
	for codec := None; codec.Valid(); codec++ {
		for _, n := range []int{1, 2, 100, 2000} {
			t.Run(fmt.Sprintf("%s/%d", codec, n), func(t *testing.T) {
				b := sample(n)
				batch := b.Finish(Producer{ID: 9, Epoch: 3, BaseSequence: 40}, Transactional, codec)
				if err := batch.Check(); err != nil {
					t.Fatal(err)
				}
				batch.SetBaseOffset(500)
				batch.SetLeaderEpoch(6)
				if err := batch.Check(); err != nil {
					t.Fatalf("patched header: %v", err)
				}
				got := collect(t, batch)
				if len(got) != n || batch.Count() != n || batch.LastOffset() != Offset(499+n) || batch.LastSequence() != int32(39+n) {
					t.Fatalf("%d records, last offset %d, last sequence %d", len(got), batch.LastOffset(), batch.LastSequence())
				}
				largest := int64(math.MinInt64)
				for i, r := range got {
					wantTime := 1_000_000 + int64(i%7)*1000 - int64(i)
					largest = max(largest, wantTime)
					if r.Offset != Offset(500+i) || r.Timestamp != wantTime || (r.Key == nil) != (i%3 == 0) || (r.Value == nil) != (i%5 == 0) {
						t.Fatalf("record %d: %+v", i, r)
					}
					if i%3 != 0 && string(r.Key) != fmt.Sprintf("key-%d", i) {
						t.Fatalf("record %d: key %q", i, r.Key)
					}
					if i%5 != 0 && !bytes.Equal(r.Value, bytes.Repeat([]byte{byte(i)}, i%300)) {
						t.Fatalf("record %d: value differs", i)
					}
					headers := slices.Collect(r.Headers)
					if i%4 == 0 && (len(headers) != 3 || string(headers[0].Value) != "x" || headers[1].Value != nil || headers[2].Value == nil) {
						t.Fatalf("record %d: headers %+v", i, headers)
					}
				}
				if batch.MaxTimestamp() != largest || b.MaxTimestamp() != largest {
					t.Fatalf("max timestamp %d, want %d", batch.MaxTimestamp(), largest)
				}
			})
		}
	}
}

// TestBatchAgreesWithFranzGo reads our bytes with kmsg's decoder, so that a mistake made in both our directions shows.
func TestBatchAgreesWithFranzGo(t *testing.T) {
	batch := sample(50).Finish(Producer{ID: 1 << 40, Epoch: 7, BaseSequence: 12}, Transactional, None)
	batch.SetBaseOffset(77)
	batch.SetLeaderEpoch(5)
	var kb kmsg.RecordBatch
	if err := kb.ReadFrom(batch); err != nil {
		t.Fatal(err)
	}
	if kb.FirstOffset != 77 || kb.PartitionLeaderEpoch != 5 || kb.Magic != 2 || uint32(kb.CRC) != batch.CRC() || kb.Attributes != int16(Transactional) ||
		kb.LastOffsetDelta != 49 || kb.FirstTimestamp != batch.BaseTimestamp() || kb.MaxTimestamp != batch.MaxTimestamp() ||
		kb.ProducerID != 1<<40 || kb.ProducerEpoch != 7 || kb.FirstSequence != 12 || kb.NumRecords != 50 {
		t.Fatalf("header: %+v", kb)
	}
	raw := kb.Records
	for i, want := range collect(t, batch) {
		var r kmsg.Record
		if err := r.ReadFrom(raw); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if r.OffsetDelta != int32(i) || kb.FirstTimestamp+r.TimestampDelta64 != want.Timestamp ||
			!bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Value, want.Value) || len(r.Headers) != want.HeaderCount {
			t.Fatalf("record %d: %+v, want %+v", i, r, want)
		}
		raw = raw[int(r.Length)+varintLen(int64(r.Length)):]
	}
	if len(raw) != 0 {
		t.Fatalf("%d bytes left", len(raw))
	}
}

func TestAnyFlippedBitUnderTheChecksumIsFound(t *testing.T) {
	batch := sample(4).Finish(NoProducer, 0, None)
	for i := posCRC; i < len(batch); i++ {
		for bit := range 8 {
			batch[i] ^= 1 << bit
			if err := batch.Check(); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d bit %d: %v", i, bit, err)
			}
			batch[i] ^= 1 << bit
		}
	}
	for i := range len(batch) {
		if err := batch[:i].Check(); err == nil {
			t.Fatalf("the first %d bytes of a batch are taken for a batch", i)
		}
	}
}

func TestOldFormatsAreRefused(t *testing.T) {
	for magic, want := range map[byte]error{0: ErrOldFormat, 1: ErrOldFormat, 3: ErrCorrupt, 255: ErrCorrupt} {
		batch := sample(1).Finish(NoProducer, 0, None)
		batch[posMagic] = magic
		if _, _, err := Next(batch); !errors.Is(err, want) {
			t.Errorf("Next with magic %d: %v", magic, err)
		}
		if err := batch.Check(); !errors.Is(err, want) {
			t.Errorf("Check with magic %d: %v", magic, err)
		}
	}
}

func TestWalkStopsAtATornBatch(t *testing.T) {
	one := slices.Clone(sample(3).Finish(NoProducer, 0, None))
	two := slices.Clone(sample(5).Finish(NoProducer, 0, Gzip))
	buf := slices.Concat(one, two)
	for cut := range len(buf) + 1 {
		n, last := 0, error(nil)
		for b, err := range All(buf[:cut]) {
			if last = err; err == nil {
				n += len(b)
			}
		}
		want := 0
		if cut >= len(one) {
			want = len(one)
		}
		if cut == len(buf) {
			want = cut
		}
		if n != want || (last == nil) != (n == cut) || (last != nil && !errors.Is(last, ErrShort)) {
			t.Fatalf("cut at %d: %d bytes of whole batches, %v", cut, n, last)
		}
	}
}

func TestNegativeAndHugeLengthsAreCorrupt(t *testing.T) {
	for _, length := range []uint32{0, 48, 0x80000000, 0xffffffff} {
		batch := sample(1).Finish(NoProducer, 0, None)
		putUint32(batch[posLength:], length)
		if _, _, err := Next(batch); !errors.Is(err, ErrCorrupt) {
			t.Errorf("length %#x: %v", length, err)
		}
	}
	batch := sample(1).Finish(NoProducer, 0, None)
	putUint32(batch[posLength:], 0x7fffffff)
	if _, _, err := Next(batch); !errors.Is(err, ErrShort) {
		t.Errorf("a length past the buffer: %v", err)
	}
}

func putUint32(p []byte, v uint32) {
	p[0], p[1], p[2], p[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

func TestRecordsRefuseWhatDoesNotAddUp(t *testing.T) {
	build := func(records string, count, lastDelta int32) Batch {
		b := Batch(append(make([]byte, HeaderSize), records...))
		writeHeader(b, header{count: count, lastDelta: lastDelta, producer: NoProducer})
		return b
	}
	// length 6: attributes, timestamp delta, offset delta, null key, null value, no headers
	rec := func(delta byte) string { return string([]byte{12, 0, 0, delta << 1, 1, 1, 0}) }
	for _, tc := range []struct {
		name  string
		batch Batch
		want  string
	}{
		{"whole", build(rec(0)+rec(1), 2, 1), ""},
		{"gaps that compaction leaves", build(rec(1)+rec(7), 2, 9), ""},
		{"empty", build("", 0, 9), ""},
		{"fewer records than counted", build(rec(0), 2, 1), "record length out of bounds"},
		{"more records than counted", build(rec(0)+rec(1), 1, 1), "bytes after the last record"},
		{"bytes without records", build("x", 0, 0), "bytes after the last record"},
		{"offset twice", build(rec(1)+rec(1), 2, 1), "offset delta out of order"},
		{"offset past the last", build(rec(2), 1, 1), "offset delta out of order"},
		{"negative length", build("\x01"+rec(0), 1, 0), "record length out of bounds"},
		{"length past the end", build("\x7e"+rec(0), 1, 0), "record length out of bounds"},
		{"key past the record", build(string([]byte{12, 0, 0, 0, 60, 1, 0}), 1, 0), "key out of bounds"},
		{"key length below null", build(string([]byte{12, 0, 0, 0, 3, 1, 0}), 1, 0), "key out of bounds"},
		{"header count past the record", build(string([]byte{12, 0, 0, 0, 1, 1, 20}), 1, 0), "header count out of bounds"},
		{"negative header count", build(string([]byte{12, 0, 0, 0, 1, 1, 1}), 1, 0), "header count out of bounds"},
		{"null header key", build(string([]byte{16, 0, 0, 0, 1, 1, 2, 1, 1}), 1, 0), "header key out of bounds"},
		{"bytes after the headers", build(string([]byte{14, 0, 0, 0, 1, 1, 0, 0}), 1, 0), "bytes after the last header"},
		{"no attributes", build("\x00", 1, 0), "record without attributes"},
		{"varint without end", build(string([]byte{14, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}), 1, 0), "timestamp delta out of bounds"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			it, err := tc.batch.Records(nil)
			if err != nil {
				t.Fatal(err)
			}
			var r Record
			for it.Next(&r) {
			}
			err = it.Err()
			if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if it.Next(&r) {
				t.Fatal("Next goes on after the end")
			}
		})
	}
}

func TestLogAppendTimeIsEveryRecordsTime(t *testing.T) {
	batch := sample(3).Finish(NoProducer, 0, None)
	crc := batch.CRC()
	batch.SetMaxTimestamp(batch.MaxTimestamp(), false)
	if batch.CRC() != crc {
		t.Fatal("setting what was set changed the checksum")
	}
	batch.SetMaxTimestamp(42, true)
	if err := batch.Check(); err != nil {
		t.Fatal(err)
	}
	for _, r := range collect(t, batch) {
		if r.Timestamp != 42 {
			t.Fatalf("timestamp %d", r.Timestamp)
		}
	}
}

func TestBuilderAllocatesNothingPerRecord(t *testing.T) {
	var b Builder
	key, value := []byte("some key"), make([]byte, 100)
	headers := []Header{{"trace", []byte("1234")}}
	fill := func() {
		b.Reset()
		for range 100 {
			b.AppendRecord(5, key, value, nil)
			b.AppendRecord(6, key, value, headers)
		}
		b.Finish(NoProducer, 0, None)
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Fatalf("%v allocations for 200 records", n)
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	for _, codec := range []Codec{None, Snappy, Zstd, LZ4} {
		batch := sample(200).Finish(NoProducer, 0, codec)
		d := NewDecompressor(1 << 20)
		walk := func() {
			it, err := batch.Records(d)
			if err != nil {
				t.Fatal(err)
			}
			var r Record
			for it.Next(&r) {
			}
			if it.Err() != nil {
				t.Fatal(it.Err())
			}
		}
		walk()
		// The codecs' own readers may take a little for a frame; the records must not.
		if n := testing.AllocsPerRun(50, walk); n > 4 || (codec == None && n != 0) {
			t.Errorf("%s: %v allocations for 200 records", codec, n)
		}
	}
}

func TestLenAndMaxRecordSizeBoundTheBatch(t *testing.T) {
	var b Builder
	if b.Len() != HeaderSize {
		t.Fatalf("empty builder has %d bytes", b.Len())
	}
	for i := range 100 {
		key, value := bytes.Repeat([]byte("k"), i*3), bytes.Repeat([]byte("v"), i*50)
		headers := []Header{{strings.Repeat("h", i), value}}
		before := b.Len()
		b.AppendRecord(int64(i)*math.MaxInt32, key, value, headers)
		if grown := b.Len() - before; grown > MaxRecordSize(key, value, headers) {
			t.Fatalf("record %d took %d bytes, at most %d were announced", i, grown, MaxRecordSize(key, value, headers))
		}
	}
	if n := b.Len(); len(b.Finish(NoProducer, 0, None)) != n {
		t.Fatal("Len is not the size of the batch")
	}
}

func TestFinishMayBeRepeatedAndResetForgets(t *testing.T) {
	b := sample(10)
	one := slices.Clone(b.Finish(NoProducer, 0, Zstd))
	b.AppendRecord(1, nil, []byte("more"), nil)
	if n := len(collect(t, b.Finish(NoProducer, 0, None))); n != 11 {
		t.Fatalf("%d records after one more", n)
	}
	b.Reset()
	if b.Count() != 0 || b.Len() != HeaderSize || b.MaxTimestamp() != NoTimestamp {
		t.Fatal("Reset left something behind")
	}
	b.AppendRecord(7, nil, nil, nil)
	if got := collect(t, b.Finish(NoProducer, 0, None)); len(got) != 1 || got[0].Timestamp != 7 || got[0].OffsetDelta != 0 {
		t.Fatalf("after Reset: %+v", got)
	}
	if len(collect(t, one)) != 10 {
		t.Fatal("a copied batch changed with its builder")
	}
}

func TestFinishAsKeepsPlaceAndProducer(t *testing.T) {
	src := sample(6).Finish(Producer{ID: 4, Epoch: 2, BaseSequence: 10}, Transactional, LZ4)
	src.SetBaseOffset(1000)
	src.SetLeaderEpoch(3)
	var b Builder
	for i, r := range collect(t, src) {
		if i == 1 || i == 4 {
			b.CopyRecord(&r)
		}
	}
	out := b.FinishAs(src, src.Attributes())
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	got := collect(t, out)
	if out.BaseOffset() != 1000 || out.LastOffset() != 1005 || out.LastSequence() != 15 || out.LeaderEpoch() != 3 || out.Attributes() != src.Attributes() ||
		len(got) != 2 || got[0].Offset != 1001 || got[1].Offset != 1004 || got[1].HeaderCount != 3 {
		t.Fatalf("%+v", got)
	}
	b.Reset()
	empty := b.FinishAs(src, src.Attributes())
	if err := empty.Check(); err != nil || empty.Count() != 0 || empty.LastOffset() != 1005 || empty.MaxTimestamp() != src.MaxTimestamp() || len(empty) != HeaderSize {
		t.Fatalf("emptied batch: %v, %d records, %d bytes", err, empty.Count(), len(empty))
	}
	if n := len(collect(t, empty)); n != 0 {
		t.Fatalf("emptied batch has %d records", n)
	}
}

func TestDeleteHorizonMovesNoTimestamp(t *testing.T) {
	src := sample(5).Finish(NoProducer, 0, None)
	var b Builder
	b.SetBaseTimestamp(99_000_000)
	want := collect(t, src)
	for i := range want {
		b.CopyRecord(&want[i])
	}
	out := b.FinishAs(src, src.Attributes()|HasDeleteHorizon)
	if ms, ok := out.DeleteHorizon(); !ok || ms != 99_000_000 {
		t.Fatalf("horizon %d, %v", ms, ok)
	}
	if _, ok := src.DeleteHorizon(); ok {
		t.Fatal("horizon on a batch that has none")
	}
	for i, r := range collect(t, out) {
		if r.Timestamp != want[i].Timestamp {
			t.Fatalf("record %d moved from %d to %d", i, want[i].Timestamp, r.Timestamp)
		}
	}
	if out.MaxTimestamp() != src.MaxTimestamp() {
		t.Fatal("max timestamp moved")
	}
}

func TestMarkersReadBack(t *testing.T) {
	var b Builder
	for _, m := range []Marker{{CommitMarker, 5}, {AbortMarker, 0}, {CommitMarker, math.MaxInt32}} {
		batch := b.FinishMarker(123, 77, 8, m)
		if err := batch.Check(); err != nil {
			t.Fatal(err)
		}
		got, ok, err := batch.Marker()
		if err != nil || !ok || got != m || batch.ProducerID() != 77 || batch.ProducerEpoch() != 8 || batch.BaseSequence() != NoSequence ||
			!batch.Attributes().IsControl() || !batch.Attributes().IsTransactional() {
			t.Fatalf("marker %+v: %+v, %v, %v", m, got, ok, err)
		}
	}
	data := sample(1).Finish(NoProducer, 0, None)
	if _, ok, err := data.Marker(); ok || err != nil {
		t.Fatalf("a data batch is a marker: %v, %v", ok, err)
	}
	for name, r := range map[string]Record{
		"short key":       {Key: []byte{0, 0, 0}, Value: make([]byte, 6)},
		"short value":     {Key: []byte{0, 0, 0, 1}, Value: make([]byte, 5)},
		"another control": {Key: []byte{0, 0, 0, 2}, Value: make([]byte, 6)},
		"bad version":     {Key: []byte{0xff, 0, 0, 1}, Value: make([]byte, 6)},
	} {
		if _, err := ParseMarker(&r); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSequencesWrap(t *testing.T) {
	for _, tc := range []struct{ seq, n, want int32 }{
		{0, 0, 0}, {0, 5, 5}, {NoSequence, 1, 0}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 5, 2}, {math.MaxInt32 - 5, 5, math.MaxInt32},
	} {
		if got := AddSequence(tc.seq, tc.n); got != tc.want {
			t.Errorf("%d + %d = %d, want %d", tc.seq, tc.n, got, tc.want)
		}
	}
}

// TestPartitionIsTheJavaProducers holds known values of Kafka's own tests and of its partitioner.
func TestPartitionIsTheJavaProducers(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
		if got, want := Partition([]byte(key), 12), int(uint32(want)&0x7fffffff)%12; got != want {
			t.Errorf("Partition(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestCodecNames(t *testing.T) {
	for c := None; c.Valid(); c++ {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if c, err := ParseCodec("uncompressed"); err != nil || c != None {
		t.Errorf("uncompressed: %v, %v", c, err)
	}
	if _, err := ParseCodec("lzma"); err == nil {
		t.Error("lzma is no codec of Kafka")
	}
}
