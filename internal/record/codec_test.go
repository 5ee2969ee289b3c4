package record

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

var codecs = []Codec{Gzip, Snappy, LZ4, Zstd}

func TestEveryCodecAndLevelReadsBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 200_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	inputs := [][]byte{nil, []byte("x"), bytes.Repeat([]byte("abcd"), 50_000), random, random[:snappyBlock], random[:snappyBlock+1]}
	for _, codec := range codecs {
		for _, level := range []int{0, 1, 9, 22} {
			c := Compressor{Level: level}
			d := NewDecompressor(1 << 20)
			for i, in := range inputs {
				packed := c.Compress([]byte("before"), codec, in)
				got, err := d.Decompress(codec, packed[len("before"):])
				if err != nil || !bytes.Equal(got, in) {
					t.Fatalf("%s level %d input %d: %d bytes, %v", codec, level, i, len(got), err)
				}
			}
		}
	}
}

func TestDecompressionStopsAtTheCap(t *testing.T) {
	var c Compressor
	bomb := make([]byte, 64<<20)
	for _, codec := range codecs {
		packed := c.Compress(nil, codec, bomb)
		d := NewDecompressor(1 << 20)
		if _, err := d.Decompress(codec, packed); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: 64 MiB of zeros in %d bytes: %v", codec, len(packed), err)
		}
		if cap(d.buf) > 8<<20 {
			t.Errorf("%s: the refused batch took a buffer of %d bytes", codec, cap(d.buf))
		}
		exact := c.Compress(nil, codec, bomb[:1<<20])
		if got, err := d.Decompress(codec, exact); err != nil || len(got) != 1<<20 {
			t.Errorf("%s: exactly the cap: %d bytes, %v", codec, len(got), err)
		}
		over := c.Compress(nil, codec, bomb[:1<<20+1])
		if _, err := d.Decompress(codec, over); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: a byte more than the cap: %v", codec, err)
		}
	}
}

func TestOtherWritersFramesAreRead(t *testing.T) {
	want := bytes.Repeat([]byte("some text that repeats "), 10_000)
	d := NewDecompressor(1 << 20)
	check := func(name string, codec Codec, packed []byte) {
		t.Helper()
		if got, err := d.Decompress(codec, packed); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	check("raw snappy block", Snappy, s2.EncodeSnappy(nil, want))

	var out bytes.Buffer
	for _, part := range [][]byte{want[:1000], want[1000:]} { // two members, as Java's stream reads them
		w := gzip.NewWriter(&out)
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check("gzip members", Gzip, out.Bytes())

	out.Reset()
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(8<<20)) // a stream without a content size
	if err != nil {
		t.Fatal(err)
	}
	for part := want; len(part) > 0; part = part[min(len(part), 777):] {
		if _, err := w.Write(part[:min(len(part), 777)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	check("zstd stream", Zstd, out.Bytes())
}

func TestGarbageIsCorruptForEveryCodec(t *testing.T) {
	garbage := [][]byte{
		{}, {0}, []byte("hello, world"), bytes.Repeat([]byte{0xff}, 100), xerialMagic, append(bytes.Clone(xerialMagic), make([]byte, 9)...),
		append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1), // a block past the end
		{0xff, 0xff, 0xff, 0xff, 0x07, 0}, // a snappy block that names 2 GiB
	}
	for _, codec := range codecs {
		d := NewDecompressor(1 << 20)
		for i, src := range garbage {
			got, err := d.Decompress(codec, src)
			if err == nil && len(got) > 0 {
				t.Errorf("%s: garbage %d became %d bytes", codec, i, len(got))
			}
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: garbage %d: %v", codec, i, err)
			}
		}
		good := new(Compressor).Compress(nil, codec, []byte("still usable"))
		if got, err := d.Decompress(codec, good); err != nil || string(got) != "still usable" {
			t.Errorf("%s: after garbage: %q, %v", codec, got, err)
		}
	}
	if _, err := NewDecompressor(10).Decompress(7, nil); !errors.Is(err, ErrUnknownCodec) {
		t.Errorf("codec 7: %v", err)
	}
}
