package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultMaxDecompressed caps what one batch may unpack to when nobody says otherwise: the largest request that a broker takes by default.
const DefaultMaxDecompressed = 100 << 20

// keepBuffer is the largest buffer that a [Decompressor] keeps between two batches: a few usual batches, so that one giant does not stay.
const keepBuffer = 4 << 20

// zstdMaxWindow is the largest window that a zstd frame may name: what the reference's highest levels use. The window costs no memory of its
// own here, since a frame is unpacked into one buffer under the cap.
const zstdMaxWindow = 128 << 20

// Decompressor unpacks the records of batches, one after the other, into a buffer of its own. It belongs to one goroutine at a time; memory
// for a codec is taken when the codec is first met.
type Decompressor struct {
	max  int
	buf  []byte
	src  bytes.Reader
	gzip *gzip.Reader
	lz4  *lz4.Reader
	zstd *zstd.Decoder
}

// NewDecompressor returns a decompressor that refuses batches whose records take more than max bytes.
func NewDecompressor(max int) *Decompressor { return &Decompressor{max: max} }

// Decompress unpacks src. The result lies in d and is valid until d is used again. The error wraps [ErrTooLarge], [ErrCorrupt] or
// [ErrUnknownCodec].
func (d *Decompressor) Decompress(codec Codec, src []byte) ([]byte, error) {
	if cap(d.buf) > keepBuffer {
		d.buf = nil
	}
	var err error
	switch codec {
	case None:
		return src, nil
	case Gzip:
		err = d.gunzip(src)
	case Snappy:
		err = d.unsnappy(src)
	case LZ4:
		err = d.unlz4(src)
	case Zstd:
		err = d.unzstd(src)
	default:
		return nil, fmt.Errorf("%w %d", ErrUnknownCodec, codec)
	}
	switch {
	case err == nil:
		return d.buf, nil
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, d.max)
	default:
		return nil, fmt.Errorf("%w: %w: %s: %v", ErrCorrupt, ErrDecompress, codec, err)
	}
}

func (d *Decompressor) gunzip(src []byte) error {
	d.src.Reset(src)
	if d.gzip == nil {
		d.gzip = new(gzip.Reader)
	}
	if err := d.gzip.Reset(&d.src); err != nil {
		return err
	}
	return d.drain(d.gzip, len(src))
}

func (d *Decompressor) unlz4(src []byte) error {
	d.src.Reset(src)
	if d.lz4 == nil {
		d.lz4 = lz4.NewReader(&d.src)
	} else {
		d.lz4.Reset(&d.src)
	}
	return d.drain(d.lz4, len(src))
}

// drain reads r to its end into d.buf, up to the cap.
func (d *Decompressor) drain(r io.Reader, packed int) error {
	const firstGuess = 3 // bytes out per byte in
	buf := slices.Grow(d.buf[:0], min(packed*firstGuess+bytes.MinRead, d.max+1))
	defer func() { d.buf = buf }()
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(len(buf), keepBuffer))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > d.max {
			return ErrTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// xerialMagic begins the framing that Java's snappy stream puts around raw snappy blocks:
//
//	magic 8 │ version 4 │ oldest compatible version 4 │ (block length 4 │ block)…
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

func (d *Decompressor) unsnappy(src []byte) error {
	d.buf = d.buf[:0]
	if !bytes.HasPrefix(src, xerialMagic) {
		return d.unsnappyBlock(src)
	}
	if len(src) < xerialHeader {
		return io.ErrUnexpectedEOF
	}
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(src))
		if n > int64(len(src)-4) {
			return io.ErrUnexpectedEOF
		}
		if err := d.unsnappyBlock(src[4 : 4+n]); err != nil {
			return err
		}
		src = src[4+n:]
	}
	return nil
}

// unsnappyBlock appends one raw block to d.buf.
func (d *Decompressor) unsnappyBlock(block []byte) error {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return err
	}
	if n > d.max-len(d.buf) {
		return ErrTooLarge
	}
	// Snappy makes at most 64 bytes of 3; a block that names more lies, and memory for a lie is not taken.
	if n > 64*(len(block)/3+1) {
		return errors.New("block names a size that it cannot have")
	}
	at := len(d.buf)
	d.buf = slices.Grow(d.buf, n)
	if _, err := s2.Decode(d.buf[at:at+n:at+n], block); err != nil {
		return err
	}
	d.buf = d.buf[:at+n]
	return nil
}

// unzstd unpacks frames. The library ties the largest window to the largest output, so that a stream that does not say its size may take up
// to zstdMaxWindow where the cap is lower; one that does is refused before.
func (d *Decompressor) unzstd(src []byte) error {
	if d.zstd == nil {
		dec, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(uint64(max(d.max, zstdMaxWindow))),
			zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			return err
		}
		d.zstd = dec
	}
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS && h.FrameContentSize > uint64(d.max) {
		return ErrTooLarge
	}
	buf, err := d.zstd.DecodeAll(src, d.buf[:0])
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(buf) > d.max {
		return ErrTooLarge
	}
	d.buf = buf
	return err
}
