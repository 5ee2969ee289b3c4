package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// A frame holds the records of one proposal; all integers are big-endian:
//
//	+----------+---------+---------+---------+------------------------+
//	| length 4 | crc32c 4| index 8 | count 4 | count × (length 4, rec)|
//	+----------+---------+---------+---------+------------------------+
//	           |<-------------- length bytes ------------------------>|
//	                     |<---------- covered by the crc ------------>|
const (
	frameHead = 4 // the length
	frameMin  = 4 + 8 + 4

	// maxFrame bounds a length field before anything is allocated by it: 10,000 partitions of one request take less than 1 MiB, and a snapshot of
	// a million partitions less than 64 MiB.
	maxFrame = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is a frame that was not written to its end.
var errTorn = errors.New("torn frame")

func appendFrame(dst []byte, index uint64, records []controller.Record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameHead+4)...)
	dst = binary.BigEndian.AppendUint64(dst, index)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(records)))
	for _, r := range records {
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = controller.AppendRecord(dst, r)
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	body := dst[start+frameHead:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.BigEndian.PutUint32(body, crc32.Checksum(body[4:], castagnoli))
	return dst
}

// readFrame decodes the frame at the front of b and returns what follows it. A frame that runs past the end of b, or whose checksum is wrong while
// nothing follows it, is torn.
func readFrame(b []byte) (index uint64, records []controller.Record, rest []byte, err error) {
	if len(b) < frameHead+frameMin {
		return 0, nil, nil, errTorn
	}
	n := binary.BigEndian.Uint32(b)
	if n < frameMin || n > maxFrame || int64(n) > int64(len(b)-frameHead) {
		return 0, nil, nil, errTorn
	}
	body, rest := b[frameHead:frameHead+n], b[frameHead+n:]
	if have, want := crc32.Checksum(body[4:], castagnoli), binary.BigEndian.Uint32(body); have != want {
		if len(rest) == 0 {
			return 0, nil, nil, errTorn
		}
		return 0, nil, nil, fmt.Errorf("crc mismatch (have %08x, want %08x)", have, want)
	}
	index = binary.BigEndian.Uint64(body[4:])
	count := binary.BigEndian.Uint32(body[12:])
	body = body[16:]
	for range count {
		if len(body) < 4 || uint64(binary.BigEndian.Uint32(body)) > uint64(len(body)-4) {
			return 0, nil, nil, fmt.Errorf("record runs past its frame")
		}
		size := binary.BigEndian.Uint32(body)
		r, err := controller.ReadRecord(body[4 : 4+size])
		if err != nil {
			return 0, nil, nil, err
		}
		records = append(records, r)
		body = body[4+size:]
	}
	return index, records, rest, nil
}

// frameBehind looks for a whole frame that follows a damaged one at the front of b, whose own length is not to be believed. Only the last frame of a log can be torn:
// each is flushed before the next one is written. Index is where the damaged frame begins, so that what follows has a higher one.
func frameBehind(b []byte, index uint64) (at int, ok bool) {
	for at := 1; at+frameHead+frameMin <= len(b); at++ {
		n := binary.BigEndian.Uint32(b[at:])
		if n < frameMin || int64(n) > int64(len(b)-at-frameHead) {
			continue
		}
		body := b[at+frameHead : at+frameHead+int(n)]
		// The cheap look comes first: a log holds fewer records than bytes.
		if have := binary.BigEndian.Uint64(body[4:]); have <= index || have-index > uint64(len(b)) {
			continue
		}
		if crc32.Checksum(body[4:], castagnoli) == binary.BigEndian.Uint32(body) {
			return at, true
		}
	}
	return 0, false
}
