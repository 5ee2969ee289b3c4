package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/internal/memtest"
)

// fuzzCap bounds what a fuzzed batch may unpack to.
const fuzzCap = 1 << 20

// What reading fuzzed bytes may allocate: the windows of the codecs and a few times what a batch may unpack to, for each of the ways in which it is read, and so much for
// each byte.
const (
	fuzzBase = 64 << 20
	fuzzEach = 4 << 10
)

func seedBatches() [][]byte {
	var seeds [][]byte
	for codec := None; codec.Valid(); codec++ {
		for _, n := range []int{1, 3, 40} {
			seeds = append(seeds, bytes.Clone(sample(n).Finish(Producer{ID: 1, Epoch: 2, BaseSequence: 3}, Transactional, codec)))
		}
	}
	seeds = append(seeds, bytes.Clone(new(Builder).FinishMarker(1, 2, 3, Marker{CommitMarker, 4})))
	return seeds
}

// FuzzBatch feeds bytes to everything that reads a batch: whatever they are, the answer is an error or records inside the bytes, and what
// was read can be written again.
func FuzzBatch(f *testing.F) {
	for _, s := range seedBatches() {
		f.Add(s)
		f.Add(s[:len(s)-1])
		f.Add(append(bytes.Clone(s), s...))
	}
	d := NewDecompressor(fuzzCap)
	f.Fuzz(func(t *testing.T, data []byte) {
		limit := int64(fuzzBase + fuzzEach*len(data))
		if took, ok := memtest.Within(limit, func() { fuzzBatch(t, d, data) }); !ok {
			t.Errorf("%d bytes made reading them allocate %d, allowed are %d", len(data), took, limit)
		}
	})
}

func fuzzBatch(t *testing.T, d *Decompressor, data []byte) {
	for b, err := range All(data) {
		if err != nil {
			if !errors.Is(err, ErrShort) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOldFormat) {
				t.Fatalf("walk: %v", err)
			}
			return
		}
		fresh := Batch(bytes.Clone(b))
		fresh.UpdateCRC() // so that the fuzzer reaches what the checksum guards
		if fresh.CheckHeader() != nil {
			continue
		}
		if err := fresh.Check(); err != nil {
			t.Fatalf("check after UpdateCRC: %v", err)
		}
		fuzzRecords(t, fresh, d)
		_, _, _ = fresh.Marker()
		_, _ = fresh.CheckRecords(d, Rules{KeyRequired: true})
		_ = fresh.CheckClientHeader()
	}
}

func fuzzRecords(t *testing.T, b Batch, d *Decompressor) {
	it, err := b.Records(d)
	if err != nil {
		return
	}
	var w Builder
	var r Record
	n := 0
	for it.Next(&r) {
		if r.Offset < b.BaseOffset() || r.Offset > b.LastOffset() {
			t.Fatalf("record at %d in a batch of [%d, %d]", r.Offset, b.BaseOffset(), b.LastOffset())
		}
		if h := slices.Collect(r.Headers); len(h) != r.HeaderCount {
			t.Fatalf("%d headers of %d", len(h), r.HeaderCount)
		}
		w.CopyRecord(&r)
		n++
	}
	if it.Err() != nil {
		return
	}
	if n != b.Count() {
		t.Fatalf("%d records of %d without an error", n, b.Count())
	}
	out := w.FinishAs(b, b.Attributes().WithCodec(b.Attributes().Codec()))
	if err := out.Check(); err != nil {
		t.Fatalf("written again: %v", err)
	}
}

// FuzzDecompress checks the cap and that a decompressor survives whatever it was fed.
func FuzzDecompress(f *testing.F) {
	for _, codec := range codecs {
		f.Add(uint8(codec), new(Compressor).Compress(nil, codec, bytes.Repeat([]byte("text"), 500)))
		f.Add(uint8(codec), new(Compressor).Compress(nil, codec, make([]byte, 2*fuzzCap)))
	}
	f.Add(uint8(Snappy), append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0))
	d := NewDecompressor(fuzzCap)
	f.Fuzz(func(t *testing.T, codec uint8, src []byte) {
		var got []byte
		var err error
		limit := int64(fuzzBase + len(src))
		if took, ok := memtest.Within(limit, func() { got, err = d.Decompress(Codec(codec), src) }); !ok {
			t.Errorf("%d bytes made unpacking them allocate %d, allowed are %d", len(src), took, limit)
		}
		if err == nil && len(got) > fuzzCap && Codec(codec) != None {
			t.Fatalf("%d bytes out, the cap is %d", len(got), fuzzCap)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrUnknownCodec) {
			t.Fatal(err)
		}
	})
}

// varint writes v as a batch has it.
func varint(v int64) []byte {
	buf := make([]byte, binary.MaxVarintLen64)
	return buf[:putVarint(buf, 0, v)]
}

// FuzzVarint checks that both directions agree and that no input reads past its end.
func FuzzVarint(f *testing.F) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 1 << 31, -(1 << 31), 1<<63 - 1, -(1 << 63)} {
		f.Add(v, varint(v))
	}
	f.Add(int64(0), []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, v int64, src []byte) {
		enc := varint(v)
		if got, i := varint64(enc, 0); got != v || i != len(enc) || len(enc) != varintLen(v) {
			t.Fatalf("%d became %d in %d bytes of %d", v, got, i, varintLen(v))
		}
		if got, i := varint32(enc, 0); int64(int32(v)) == v && (int64(got) != v || i != len(enc)) || int64(int32(v)) != v && i >= 0 {
			t.Fatalf("%d as 32 bits became %d, %d", v, got, i)
		}
		for _, read := range []func([]byte, int) (int64, int){
			func(p []byte, i int) (int64, int) { v, i := varint32(p, i); return int64(v), i },
			varint64,
		} {
			if _, i := read(src, 0); i > len(src) || i == 0 {
				t.Fatalf("read to %d of %d bytes", i, len(src))
			}
		}
	})
}
