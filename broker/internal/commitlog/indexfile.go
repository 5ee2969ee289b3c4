package commitlog

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// The trailers of the index files bind them to their segment. Kafka's readers stop at the zeros that begin them; a file without a trailer that
// holds (a crash, another program's file) is not trusted, and the index is built again from the segment.
const (
	indexMagic         = 0x4d525831 // "MRX1"
	offsetTrailerSize  = 40         // zeros 8, magic 4, aborted 4, log size 4, next 4, first time 8, time entries 4, crc 4
	timeTrailerSize    = 24         // zeros 12, log size 4, magic 4, crc 4
	txnTrailerSize     = 8          // magic 4, crc 4
	txnEntrySize       = 34         // version 2, producer id 8, first 8, last 8, last stable 8
	maxTxnIndexFile    = 64 << 20   // two million aborted transactions in one segment
	txnEntryVersion    = 0
	maxOffsetIndexFile = maxIndexEntries*offsetEntrySize + offsetTrailerSize
	maxTimeIndexFile   = (maxIndexEntries+1)*timeEntrySize + timeTrailerSize
)

var (
	crcTable = crc32.MakeTable(crc32.Castagnoli)
	be       = binary.BigEndian
)

// appendOffsetIndex encodes x as the content of an .index file of a segment that has logSize bytes and aborted entries in its .txnindex.
func appendOffsetIndex(dst []byte, x *index, logSize int64, aborted int) []byte {
	for _, e := range x.offsets {
		dst = be.AppendUint32(dst, e.rel)
		dst = be.AppendUint32(dst, e.pos)
	}
	dst = append(dst, make([]byte, offsetEntrySize)...)
	dst = be.AppendUint32(dst, indexMagic)
	dst = be.AppendUint32(dst, uint32(aborted))
	dst = be.AppendUint32(dst, uint32(logSize))
	dst = be.AppendUint32(dst, uint32(x.next-x.base))
	dst = be.AppendUint64(dst, uint64(x.firstTime))
	dst = be.AppendUint32(dst, uint32(len(x.times)))
	return be.AppendUint32(dst, crc32.Checksum(dst, crcTable))
}

// decodeOffsetIndex fills x from an .index file; ok is false when the file is not one of ours for a segment of logSize bytes.
func decodeOffsetIndex(data []byte, x *index, logSize int64) (aborted, times int, ok bool) {
	n := len(data) - offsetTrailerSize
	if n < 0 || n%offsetEntrySize != 0 || crc32.Checksum(data[:len(data)-4], crcTable) != be.Uint32(data[len(data)-4:]) {
		return 0, 0, false
	}
	t := data[n:]
	if be.Uint32(t[8:]) != indexMagic || int64(be.Uint32(t[16:])) != logSize {
		return 0, 0, false
	}
	x.next = x.base + Offset(be.Uint32(t[20:]))
	x.firstTime = int64(be.Uint64(t[24:]))
	x.offsets = make([]offsetEntry, n/offsetEntrySize)
	for i := range x.offsets {
		x.offsets[i] = offsetEntry{rel: be.Uint32(data[i*8:]), pos: be.Uint32(data[i*8+4:])}
	}
	return int(be.Uint32(t[12:])), int(be.Uint32(t[32:])), true
}

// appendTimeIndex encodes x as the content of a .timeindex file.
func appendTimeIndex(dst []byte, x *index, logSize int64) []byte {
	for _, e := range x.times {
		dst = be.AppendUint64(dst, uint64(e.time))
		dst = be.AppendUint32(dst, e.rel)
	}
	dst = append(dst, make([]byte, timeEntrySize)...)
	dst = be.AppendUint32(dst, uint32(logSize))
	dst = be.AppendUint32(dst, indexMagic)
	return be.AppendUint32(dst, crc32.Checksum(dst, crcTable))
}

// decodeTimeIndex fills x from a .timeindex file of the given number of entries.
func decodeTimeIndex(data []byte, x *index, logSize int64, entries int) bool {
	n := len(data) - timeTrailerSize
	if n < 0 || n != entries*timeEntrySize || crc32.Checksum(data[:len(data)-4], crcTable) != be.Uint32(data[len(data)-4:]) {
		return false
	}
	t := data[n:]
	if be.Uint32(t[16:]) != indexMagic || int64(be.Uint32(t[12:])) != logSize {
		return false
	}
	x.times = make([]timeEntry, entries)
	for i := range x.times {
		x.times[i] = timeEntry{time: int64(be.Uint64(data[i*12:])), rel: be.Uint32(data[i*12+8:])}
	}
	x.maxTime, x.maxTimeRel = record.NoTimestamp, 0
	if entries > 0 {
		last := x.times[entries-1]
		x.maxTime, x.maxTimeRel = last.time, last.rel
	}
	return true
}

// appendTxnIndex encodes aborted transactions as the content of a .txnindex file.
func appendTxnIndex(dst []byte, aborted []AbortedTxn) []byte {
	for _, a := range aborted {
		dst = be.AppendUint16(dst, txnEntryVersion)
		dst = be.AppendUint64(dst, uint64(a.ProducerID))
		dst = be.AppendUint64(dst, uint64(a.FirstOffset))
		dst = be.AppendUint64(dst, uint64(a.LastOffset))
		dst = be.AppendUint64(dst, uint64(a.LastStable))
	}
	dst = be.AppendUint32(dst, indexMagic)
	return be.AppendUint32(dst, crc32.Checksum(dst, crcTable))
}

// decodeTxnIndex reads a .txnindex file of the given number of entries.
func decodeTxnIndex(data []byte, entries int) ([]AbortedTxn, bool) {
	n := len(data) - txnTrailerSize
	if n < 0 || n != entries*txnEntrySize || crc32.Checksum(data[:len(data)-4], crcTable) != be.Uint32(data[len(data)-4:]) {
		return nil, false
	}
	aborted := make([]AbortedTxn, entries)
	for i := range aborted {
		e := data[i*txnEntrySize+2:]
		aborted[i] = AbortedTxn{
			ProducerID:  ProducerID(be.Uint64(e)),
			FirstOffset: Offset(be.Uint64(e[8:])),
			LastOffset:  Offset(be.Uint64(e[16:])),
			LastStable:  Offset(be.Uint64(e[24:])),
		}
	}
	return aborted, be.Uint32(data[n:]) == indexMagic
}

// writeIndexFiles writes the index files of a segment that is closed. They are not flushed: a crash that spoils them costs a rebuild.
func writeIndexFiles(fsys vfs.FS, dir string, x *index, logSize int64, aborted []AbortedTxn) error {
	x.addTime()
	path := func(suffix string) string { return fsys.PathJoin(dir, fileName(x.base, suffix)) }
	if err := writeFile(fsys, path(suffixTime), appendTimeIndex(nil, x, logSize), false); err != nil {
		return err
	}
	if len(aborted) > 0 {
		if err := writeFile(fsys, path(suffixTxn), appendTxnIndex(nil, aborted), false); err != nil {
			return err
		}
	}
	return writeFile(fsys, path(suffixIndex), appendOffsetIndex(nil, x, logSize, len(aborted)), false)
}

// readIndexFiles reads what writeIndexFiles wrote; ok is false when any of it is missing or does not hold.
func readIndexFiles(fsys vfs.FS, dir string, x *index, logSize int64) (aborted []AbortedTxn, ok bool) {
	path := func(suffix string) string { return fsys.PathJoin(dir, fileName(x.base, suffix)) }
	data, err := readSmallFile(fsys, path(suffixIndex), maxOffsetIndexFile)
	if err != nil {
		return nil, false
	}
	abortedCount, times, ok := decodeOffsetIndex(data, x, logSize)
	if !ok {
		return nil, false
	}
	if data, err = readSmallFile(fsys, path(suffixTime), maxTimeIndexFile); err != nil || !decodeTimeIndex(data, x, logSize, times) {
		return nil, false
	}
	if abortedCount > 0 {
		if data, err = readSmallFile(fsys, path(suffixTxn), maxTxnIndexFile); err != nil {
			return nil, false
		}
		if aborted, ok = decodeTxnIndex(data, abortedCount); !ok {
			return nil, false
		}
	}
	return aborted, true
}
