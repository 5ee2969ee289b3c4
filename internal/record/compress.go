package record

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/millrace-io/millrace/internal/invariant"
)

// snappyBlock is the block size inside the xerial framing: the one that Java's stream writes.
const snappyBlock = 32 << 10

// Compressor packs records. Its zero value is ready and uses every codec's default level. It belongs to one goroutine at a time.
type Compressor struct {
	// Level is the codec's own level (gzip 1-9, lz4 1-9, zstd 1-22); 0 means its default. It must not change after the first use.
	Level int

	out  bytes.Buffer
	gzip *gzip.Writer
	lz4  *lz4.Writer
	zstd *zstd.Encoder
}

// Compress appends src, packed, to dst. It cannot fail for a valid codec: it writes to memory only.
func (c *Compressor) Compress(dst []byte, codec Codec, src []byte) []byte {
	switch codec {
	case None:
		return append(dst, src...)
	case Gzip:
		return c.packGzip(dst, src)
	case Snappy:
		return packSnappy(dst, src)
	case LZ4:
		return c.packLZ4(dst, src)
	case Zstd:
		return c.packZstd(dst, src)
	}
	invariant.Always(false, "record: compress with %s", codec)
	return dst
}

func (c *Compressor) packGzip(dst, src []byte) []byte {
	c.out.Reset()
	if c.gzip == nil {
		level := gzip.DefaultCompression
		if c.Level != 0 {
			level = min(max(c.Level, gzip.BestSpeed), gzip.BestCompression)
		}
		w, err := gzip.NewWriterLevel(&c.out, level)
		mustCompress(Gzip, err)
		c.gzip = w
	} else {
		c.gzip.Reset(&c.out)
	}
	_, err := c.gzip.Write(src)
	mustCompress(Gzip, err)
	mustCompress(Gzip, c.gzip.Close())
	return append(dst, c.out.Bytes()...)
}

// lz4Levels are the library's names of levels 1 to 9.
var lz4Levels = [...]lz4.CompressionLevel{
	lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}

func (c *Compressor) packLZ4(dst, src []byte) []byte {
	c.out.Reset()
	if c.lz4 == nil {
		level := 0
		if c.Level > 1 { // level 1 is the default, and the library's fast one
			level = min(c.Level, len(lz4Levels)-1)
		}
		c.lz4 = lz4.NewWriter(&c.out)
		// Independent blocks of 64 KiB without a content checksum are what the Java client writes and every client reads.
		mustCompress(LZ4, c.lz4.Apply(
			lz4.BlockSizeOption(lz4.Block64Kb),
			lz4.ChecksumOption(false),
			lz4.ConcurrencyOption(1),
			lz4.CompressionLevelOption(lz4Levels[level])))
	} else {
		c.lz4.Reset(&c.out)
	}
	_, err := c.lz4.Write(src)
	mustCompress(LZ4, err)
	mustCompress(LZ4, c.lz4.Close())
	return append(dst, c.out.Bytes()...)
}

func (c *Compressor) packZstd(dst, src []byte) []byte {
	if c.zstd == nil {
		level := zstd.SpeedDefault
		if c.Level != 0 {
			level = zstd.EncoderLevelFromZstd(c.Level)
		}
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithLowerEncoderMem(true))
		mustCompress(Zstd, err)
		c.zstd = w
	}
	return c.zstd.EncodeAll(src, dst)
}

func packSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		n := min(len(src), snappyBlock)
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		need := s2.MaxEncodedLen(n)
		dst = append(dst, make([]byte, need)...)
		block := s2.EncodeSnappy(dst[at+4:], src[:n])
		binary.BigEndian.PutUint32(dst[at:], uint32(len(block)))
		dst = dst[:at+4+len(block)]
		src = src[n:]
	}
	return dst
}

func mustCompress(codec Codec, err error) {
	invariant.Always(err == nil, "record: %s cannot write to memory: %v", codec, err)
}
