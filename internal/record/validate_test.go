package record

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

func TestClientHeaderRules(t *testing.T) {
	ok := func() Batch { return sample(3).Finish(Producer{ID: 5, Epoch: 0, BaseSequence: 0}, 0, None) }
	for _, tc := range []struct {
		name  string
		spoil func(Batch) Batch
		want  error
	}{
		{"fine", func(b Batch) Batch { return b }, nil},
		{"base offset", func(b Batch) Batch { b.SetBaseOffset(1); return b }, ErrInvalid},
		{"no records", func(Batch) Batch { return new(Builder).Finish(NoProducer, 0, None) }, ErrInvalid},
		{"count and last offset differ", func(b Batch) Batch { putUint32(b[posLastOffsetDelta:], 4); return b }, ErrInvalid},
		{"control", func(b Batch) Batch { b[posAttributes+1] |= byte(Control); return b }, ErrInvalid},
		{"delete horizon", func(b Batch) Batch { b[posAttributes+1] |= byte(HasDeleteHorizon); return b }, ErrInvalid},
		{"id without sequence", func(b Batch) Batch { b.SetProducer(Producer{ID: 5, Epoch: 0, BaseSequence: -1}); return b }, ErrInvalid},
		{"transaction without id", func(Batch) Batch { return sample(1).Finish(NoProducer, Transactional, None) }, ErrInvalid},
		{"unknown codec", func(b Batch) Batch { b[posAttributes+1] |= 6; return b }, ErrUnknownCodec},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := tc.spoil(ok())
			err := b.CheckClientOffset()
			if err == nil {
				err = b.CheckClientHeader()
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestFaultsNameTheirRecords(t *testing.T) {
	var b Builder
	for i, key := range []string{"a", "", "b", ""} {
		k := []byte(key)
		if key == "" {
			k = nil
		}
		b.AppendRecord(int64(i)*100, k, nil, nil)
	}
	batch := b.Finish(NoProducer, 0, Snappy)
	d := NewDecompressor(1 << 20)

	if top, err := batch.CheckRecords(d, Rules{}); err != nil || top != 300 {
		t.Fatalf("without rules: %d, %v", top, err)
	}
	_, err := batch.CheckRecords(d, Rules{KeyRequired: true})
	var faults *FaultsError
	if !errors.As(err, &faults) || !errors.Is(err, ErrInvalid) || errors.Is(err, ErrInvalidTimestamp) {
		t.Fatalf("null keys: %v", err)
	}
	if faults.Total != 2 || faults.Faults[0].Index != 1 || faults.Faults[1].Index != 3 {
		t.Fatalf("faults: %+v", faults)
	}
	_, err = batch.CheckRecords(d, Rules{KeyRequired: true, CheckTimestamps: true, NotBefore: 100, NotAfter: math.MaxInt64})
	if !errors.As(err, &faults) || !errors.Is(err, ErrInvalidTimestamp) || faults.Total != 3 || faults.Faults[0].Index != 0 {
		t.Fatalf("a timestamp among the faults: %v", err)
	}
	if _, err = batch.CheckRecords(d, Rules{CheckTimestamps: true, NotBefore: 0, NotAfter: 300}); err != nil {
		t.Fatalf("the range is closed: %v", err)
	}
}

func TestFaultListIsBounded(t *testing.T) {
	var b Builder
	for range 10 * maxFaults {
		b.AppendRecord(0, nil, nil, nil)
	}
	var faults *FaultsError
	if _, err := b.Finish(NoProducer, 0, None).CheckRecords(nil, Rules{KeyRequired: true}); !errors.As(err, &faults) {
		t.Fatal(err)
	}
	if len(faults.Faults) != maxFaults || faults.Total != 10*maxFaults {
		t.Fatalf("%d faults listed of %d", len(faults.Faults), faults.Total)
	}
}

func TestCorruptRecordsUnderAGoodChecksumAreTheSendersFault(t *testing.T) {
	batch := sample(3).Finish(NoProducer, 0, None)
	batch[HeaderSize] = 0xff
	batch.UpdateCRC()
	if err := batch.Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.CheckRecords(nil, Rules{}); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrCorrupt) {
		t.Fatalf("broken record: %v", err)
	}
	batch = sample(3).Finish(NoProducer, 0, Zstd)
	batch[HeaderSize] ^= 0xff
	batch.UpdateCRC()
	if _, err := batch.CheckRecords(nil, Rules{}); !errors.Is(err, ErrDecompress) || errors.Is(err, ErrInvalid) {
		t.Fatalf("broken frame: %v", err)
	}
	var gap Builder
	gap.CopyRecord(&Record{OffsetDelta: 1})
	gapped := gap.Finish(NoProducer, 0, None)
	if _, err := gapped.CheckRecords(nil, Rules{}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("offsets with a gap: %v", err)
	}
}

// TestSkippedRecordsAreThoseThatAreRead: the quick way over usual records sees what the slow one sees, in good batches and in all that one changed byte makes
// of them.
func TestSkippedRecordsAreThoseThatAreRead(t *testing.T) {
	for name, b := range usualAndUnusual() {
		t.Run(name, func(t *testing.T) {
			if skipped := compareSkip(t, b); name == "usual" && skipped != b.Count() {
				t.Errorf("%d of %d usual records were skipped", skipped, b.Count())
			}
			changed := slices.Clone(b)
			for at := HeaderSize; at < len(b) && name != "many"; at++ {
				for _, to := range []byte{0, 1, 2, 0x7f, 0x80, 0x81, 0xff, b[at] ^ 0x40, b[at] + 1, b[at] - 1} {
					changed[at] = to
					compareSkip(t, changed)
				}
				changed[at] = b[at]
				if at > HeaderSize+400 {
					at += 97 // inside of long values
				}
			}
		})
	}
}

// usualAndUnusual returns batches by name.
func usualAndUnusual() map[string]Batch {
	build := func(fill func(w *Builder)) Batch {
		var w Builder
		fill(&w)
		return slices.Clone(w.Finish(NoProducer, 0, None))
	}
	return map[string]Batch{
		"usual": build(func(w *Builder) {
			w.AppendRecord(1000, nil, nil, nil)
			w.AppendRecord(1000, []byte("key"), []byte{}, nil)
			w.AppendRecord(999, []byte{}, make([]byte, 100), nil)
			w.AppendRecord(1000+8191, make([]byte, 63), make([]byte, 64), nil)
			w.AppendRecord(1000-8191, make([]byte, 64), make([]byte, 8000), nil)
		}),
		"unusual": build(func(w *Builder) {
			w.AppendRecord(1000, []byte("k"), []byte("v"), []Header{{Key: "a", Value: []byte("b")}})
			w.AppendRecord(1<<40, []byte("k"), make([]byte, 8192), nil)
			w.AppendRecord(1000, make([]byte, 8192), nil, nil)
			w.AppendRecord(0, nil, make([]byte, 20000), nil)
			w.AppendRecord(1000, []byte("k"), []byte("v"), nil)
		}),
		"many": build(func(w *Builder) {
			for i := range int64(1<<14 + 10) { // past the numbers that are skipped
				w.AppendRecord(1000+i, nil, nil, nil)
			}
		}),
		"a last one that is short": build(func(w *Builder) {
			w.AppendRecord(1000, []byte("0123456789"), []byte("0123456789"), nil)
			w.AppendRecord(1000, nil, nil, nil)
		}),
	}
}

// compareSkip walks a batch with and without skips and returns how many records were skipped.
func compareSkip(t *testing.T, b Batch) (skipped int) {
	t.Helper()
	plain, err := b.Records(nil)
	if err != nil {
		t.Fatal(err)
	}
	quick := plain
	var want, got Record
	for i := int32(0); ; i++ {
		more := plain.Next(&want)
		timestamp, keyed, ok := quick.skip(i)
		if !ok {
			if quick.Next(&got) != more {
				t.Fatalf("record %d: read %v without skips, %v with them", i, more, !more)
			}
			timestamp, keyed = got.Timestamp, got.Key != nil
		} else if skipped++; !more || want.OffsetDelta != i {
			t.Fatalf("record %d was skipped; read, it is number %d: %v", i, want.OffsetDelta, plain.Err())
		}
		if !more {
			break
		}
		if timestamp != want.Timestamp || keyed != (want.Key != nil) || quick.pos != plain.pos || quick.left != plain.left {
			t.Fatalf("record %d: time %d, key %v, want %d, %v", i, timestamp, keyed, want.Timestamp, want.Key != nil)
		}
	}
	if a, b := fmt.Sprint(plain.Err()), fmt.Sprint(quick.Err()); a != b {
		t.Fatalf("the walk ends with %s, with skips with %s", a, b)
	}
	return skipped
}

// A record is told for one fault, as in Apache Kafka: for its missing key before its time.
func TestRecordHasOneFault(t *testing.T) {
	var b Builder
	for _, key := range [][]byte{nil, []byte("k")} {
		b.AppendRecord(5000, key, []byte("v"), nil)
	}
	batch := b.Finish(NoProducer, 0, None)
	_, err := batch.CheckRecords(nil, Rules{KeyRequired: true, CheckTimestamps: true, NotBefore: 0, NotAfter: 10})
	var faults *FaultsError
	if !errors.As(err, &faults) || faults.Total != 2 || !errors.Is(err, ErrInvalidTimestamp) {
		t.Fatalf("got %v", err)
	}
	_, err = batch.CheckRecords(nil, Rules{KeyRequired: true})
	if !errors.As(err, &faults) || faults.Total != 1 || !errors.Is(err, ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}
