package commitlog

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// The index files are Kafka's, which have no checksums. A file of our own beside them, the summary, binds them to their segment: an index that
// does not fit it (a crash, a flipped bit, another program's file) is not trusted and built again.
const (
	summaryMagic    = 0x4d525831 // "MRX1"
	summarySize     = 56         // magic 4, log size 8, end 8, first time 8, length 4 and crc 4 of each index, crc 4
	txnEntrySize    = 34         // version 2, producer id 8, first 8, last 8, last stable 8
	txnEntryVersion = 0
	maxTxnIndexFile = 64 << 20 // two million aborted transactions in one segment
	maxSmallIndex   = (maxIndexEntries + 1) * timeEntrySize
)

var (
	crcTable = crc32.MakeTable(crc32.Castagnoli)
	be       = binary.BigEndian
)

// appendOffsetIndex encodes the content of an .index file.
func appendOffsetIndex(dst []byte, offsets []offsetEntry) []byte {
	for _, e := range offsets {
		dst = be.AppendUint32(dst, e.rel)
		dst = be.AppendUint32(dst, e.pos)
	}
	return dst
}

func decodeOffsetIndex(data []byte) []offsetEntry {
	offsets := make([]offsetEntry, len(data)/offsetEntrySize)
	for i := range offsets {
		offsets[i] = offsetEntry{rel: be.Uint32(data[i*offsetEntrySize:]), pos: be.Uint32(data[i*offsetEntrySize+4:])}
	}
	return offsets
}

// appendTimeIndex encodes the content of a .timeindex file.
func appendTimeIndex(dst []byte, times []timeEntry) []byte {
	for _, e := range times {
		dst = be.AppendUint64(dst, uint64(e.time))
		dst = be.AppendUint32(dst, e.rel)
	}
	return dst
}

func decodeTimeIndex(data []byte) []timeEntry {
	times := make([]timeEntry, len(data)/timeEntrySize)
	for i := range times {
		times[i] = timeEntry{time: int64(be.Uint64(data[i*timeEntrySize:])), rel: be.Uint32(data[i*timeEntrySize+8:])}
	}
	return times
}

// appendTxnIndex encodes the content of a .txnindex file.
func appendTxnIndex(dst []byte, aborted []AbortedTxn) []byte {
	for _, a := range aborted {
		dst = be.AppendUint16(dst, txnEntryVersion)
		dst = be.AppendUint64(dst, uint64(a.ProducerID))
		dst = be.AppendUint64(dst, uint64(a.FirstOffset))
		dst = be.AppendUint64(dst, uint64(a.LastOffset))
		dst = be.AppendUint64(dst, uint64(a.LastStable))
	}
	return dst
}

func decodeTxnIndex(data []byte) []AbortedTxn {
	var aborted []AbortedTxn
	for ; len(data) >= txnEntrySize; data = data[txnEntrySize:] {
		aborted = append(aborted, AbortedTxn{
			ProducerID:  ProducerID(be.Uint64(data[2:])),
			FirstOffset: Offset(be.Uint64(data[10:])),
			LastOffset:  Offset(be.Uint64(data[18:])),
			LastStable:  Offset(be.Uint64(data[26:])),
		})
	}
	return aborted
}

// indexSuffixes are the index files in the order in which the summary speaks of them, with the most bytes that each may have.
var indexSuffixes = [...]struct {
	suffix string
	max    int64
}{{suffixIndex, maxSmallIndex}, {suffixTime, maxSmallIndex}, {suffixTxn, maxTxnIndexFile}}

// writeIndexFiles writes the index files of a segment that is closed, the summary last. They are not flushed: a crash that spoils them costs a
// rebuild. A .txnindex exists only where there is something in it.
func writeIndexFiles(fsys vfs.FS, dir string, x *index, logSize int64, aborted []AbortedTxn) error {
	x.addTime()
	contents := [len(indexSuffixes)][]byte{appendOffsetIndex(nil, x.offsets), appendTimeIndex(nil, x.times), appendTxnIndex(nil, aborted)}
	summary := be.AppendUint32(make([]byte, 0, summarySize), summaryMagic)
	summary = be.AppendUint64(summary, uint64(logSize))
	summary = be.AppendUint64(summary, uint64(x.next))
	summary = be.AppendUint64(summary, uint64(x.firstTime))
	for _, data := range contents { // before the writes, which may garble what they are given
		summary = be.AppendUint32(summary, uint32(len(data)))
		summary = be.AppendUint32(summary, crc32.Checksum(data, crcTable))
	}
	summary = be.AppendUint32(summary, crc32.Checksum(summary, crcTable))
	for i, data := range contents {
		path := fsys.PathJoin(dir, fileName(x.base, indexSuffixes[i].suffix))
		var err error
		if indexSuffixes[i].suffix == suffixTxn && len(data) == 0 {
			err = removeIfExists(fsys, path)
		} else {
			err = writeDerived(fsys, path, data)
		}
		if err != nil {
			return err
		}
	}
	return writeDerived(fsys, fsys.PathJoin(dir, fileName(x.base, suffixSummary)), summary)
}

// summarized tells whether the index files of a segment are those that its summary speaks of, whatever became of the segment: they are ours. A summary that does not hold
// may have been theirs too.
func summarized(fsys vfs.FS, dir string, base Offset) bool {
	summary, err := readSmallFile(fsys, fsys.PathJoin(dir, fileName(base, suffixSummary)), summarySize)
	if err != nil {
		return !isNotExist(err)
	}
	if len(summary) != summarySize || crc32.Checksum(summary[:summarySize-4], crcTable) != be.Uint32(summary[summarySize-4:]) {
		return true
	}
	idx := newIndex(base, 1, 1)
	_, ok := readIndexFiles(fsys, dir, &idx, int64(be.Uint64(summary[4:])))
	return ok
}

// readIndexFiles reads what writeIndexFiles wrote; ok is false when any of it is missing or does not hold.
func readIndexFiles(fsys vfs.FS, dir string, x *index, logSize int64) (aborted []AbortedTxn, ok bool) {
	summary, err := readSmallFile(fsys, fsys.PathJoin(dir, fileName(x.base, suffixSummary)), summarySize)
	if err != nil || len(summary) != summarySize || be.Uint32(summary) != summaryMagic ||
		crc32.Checksum(summary[:summarySize-4], crcTable) != be.Uint32(summary[summarySize-4:]) || int64(be.Uint64(summary[4:])) != logSize {
		return nil, false
	}
	var contents [len(indexSuffixes)][]byte
	for i, file := range indexSuffixes {
		size, crc := be.Uint32(summary[28+8*i:]), be.Uint32(summary[32+8*i:])
		if size == 0 {
			continue
		}
		data, err := readSmallFile(fsys, fsys.PathJoin(dir, fileName(x.base, file.suffix)), file.max)
		if err != nil || uint32(len(data)) != size || crc32.Checksum(data, crcTable) != crc {
			return nil, false
		}
		contents[i] = data
	}
	x.next, x.firstTime = Offset(be.Uint64(summary[12:])), int64(be.Uint64(summary[20:]))
	x.offsets, x.times = decodeOffsetIndex(contents[0]), decodeTimeIndex(contents[1])
	x.maxTime, x.maxTimeRel = record.NoTimestamp, 0
	if n := len(x.times); n > 0 {
		x.maxTime, x.maxTimeRel = x.times[n-1].time, x.times[n-1].rel
	}
	return decodeTxnIndex(contents[2]), true
}
