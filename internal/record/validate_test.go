package record

import (
	"errors"
	"math"
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
		{"append time", func(b Batch) Batch { b[posAttributes+1] |= byte(LogAppendTime); return b }, ErrInvalidTimestamp},
		{"id without sequence", func(b Batch) Batch { b.SetProducer(Producer{ID: 5, Epoch: 0, BaseSequence: -1}); return b }, ErrInvalid},
		{"transaction without id", func(Batch) Batch { return sample(1).Finish(NoProducer, Transactional, None) }, ErrInvalid},
		{"unknown codec", func(b Batch) Batch { b[posAttributes+1] |= 6; return b }, ErrUnknownCodec},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.spoil(ok()).CheckClientHeader(); !errors.Is(err, tc.want) {
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
