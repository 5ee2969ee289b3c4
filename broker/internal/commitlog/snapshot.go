package commitlog

import (
	"cmp"
	"errors"
	"hash/crc32"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// A producer snapshot is Kafka's file (version, checksum, one entry for each producer with its last batch), followed by a part of our own with
// the batches before the last, which Kafka's reader does not look at. The checksum covers both.
const (
	snapshotVersion   = 1
	snapshotHead      = 10 // version 2, crc 4, count 4
	snapshotEntrySize = 46 // id 8, epoch 2, last seq 4, last offset 8, delta 4, timestamp 8, coordinator epoch 4, txn start 8
	snapshotBatchSize = 24 // last seq 4, delta 4, last offset 8, timestamp 8
	maxSnapshotFile   = 256 << 20
)

var errSnapshot = errors.New("producer snapshot does not hold")

// encodeSnapshot returns the content of a snapshot file.
func encodeSnapshot(states []producerState) []byte {
	dst := be.AppendUint16(nil, snapshotVersion)
	dst = be.AppendUint32(dst, 0) // the checksum, last
	dst = be.AppendUint32(dst, uint32(len(states)))
	for i := range states {
		dst = appendSnapshotEntry(dst, &states[i])
	}
	for i := range states {
		p := &states[i]
		earlier := max(p.n-1, 0)
		dst = append(dst, byte(earlier))
		for _, k := range p.batches[:earlier] {
			dst = be.AppendUint32(dst, uint32(k.lastSeq))
			dst = be.AppendUint32(dst, uint32(k.delta))
			dst = be.AppendUint64(dst, uint64(k.lastOffset))
			dst = be.AppendUint64(dst, uint64(k.timestamp))
		}
	}
	be.PutUint32(dst[2:], crc32.Checksum(dst[6:], crcTable))
	return dst
}

func appendSnapshotEntry(dst []byte, p *producerState) []byte {
	last := keptBatch{lastSeq: record.NoSequence, lastOffset: record.NoOffset}
	if p.n > 0 {
		last = p.batches[p.n-1]
	}
	dst = be.AppendUint64(dst, uint64(p.id))
	dst = be.AppendUint16(dst, uint16(p.epoch))
	dst = be.AppendUint32(dst, uint32(last.lastSeq))
	dst = be.AppendUint64(dst, uint64(last.lastOffset))
	dst = be.AppendUint32(dst, uint32(last.delta))
	dst = be.AppendUint64(dst, uint64(p.lastTimestamp))
	dst = be.AppendUint32(dst, uint32(p.coordinatorEpoch))
	return be.AppendUint64(dst, uint64(p.txnStart))
}

// decodeSnapshot reads a snapshot file, ours or Kafka's.
func decodeSnapshot(data []byte, now int64) ([]producerState, error) {
	if len(data) < snapshotHead || be.Uint16(data) != snapshotVersion || be.Uint32(data[2:]) != crc32.Checksum(data[6:], crcTable) {
		return nil, errSnapshot
	}
	n := int(be.Uint32(data[6:]))
	if rest := len(data) - snapshotHead; n < 0 || n > rest/snapshotEntrySize {
		return nil, errSnapshot
	}
	states := make([]producerState, n)
	for i := range states {
		states[i] = decodeSnapshotEntry(data[snapshotHead+i*snapshotEntrySize:], now)
	}
	ours := data[snapshotHead+n*snapshotEntrySize:]
	if len(ours) == 0 {
		return states, nil // Kafka's: the last batch alone is known
	}
	for i := range states {
		var err error
		if ours, err = states[i].prependBatches(ours); err != nil {
			return nil, err
		}
	}
	if len(ours) != 0 {
		return nil, errSnapshot
	}
	return states, nil
}

func decodeSnapshotEntry(e []byte, now int64) producerState {
	p := newProducerState(ProducerID(be.Uint64(e)))
	p.epoch = ProducerEpoch(be.Uint16(e[8:]))
	p.lastTimestamp = int64(be.Uint64(e[26:]))
	p.coordinatorEpoch = int32(be.Uint32(e[34:]))
	p.txnStart = max(Offset(be.Uint64(e[38:])), record.NoOffset)
	p.seen = now
	if lastOffset := Offset(be.Uint64(e[14:])); lastOffset >= 0 {
		p.batches[0] = keptBatch{
			lastSeq: int32(be.Uint32(e[10:])), lastOffset: lastOffset, delta: int32(be.Uint32(e[22:])), timestamp: p.lastTimestamp,
		}
		p.n = 1
	}
	return p
}

// prependBatches reads one producer's part of our own section and returns what follows it.
func (p *producerState) prependBatches(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errSnapshot
	}
	n := int(data[0])
	data = data[1:]
	if n >= keptBatches || (n > 0 && p.n == 0) || len(data) < n*snapshotBatchSize {
		return nil, errSnapshot
	}
	last := p.batches[0]
	for i := range n {
		e := data[i*snapshotBatchSize:]
		p.batches[i] = keptBatch{
			lastSeq: int32(be.Uint32(e)), delta: int32(be.Uint32(e[4:])), lastOffset: Offset(be.Uint64(e[8:])), timestamp: int64(be.Uint64(e[16:])),
		}
	}
	if p.n > 0 {
		p.batches[n] = last
		p.n = n + 1
	}
	return data[n*snapshotBatchSize:], nil
}

// snapshotOf returns all states, by id.
func (ps *producers) snapshotOf() []producerState {
	states := make([]producerState, 0, len(ps.byID))
	for _, p := range ps.byID {
		states = append(states, *p)
	}
	slices.SortFunc(states, func(a, b producerState) int { return cmp.Compare(a.id, b.id) })
	return states
}

// load replaces everything with states.
func (ps *producers) load(states []producerState) {
	ps.reset()
	ps.commit(states, nil)
}

// writeSnapshot writes the producer state as it is before offset o.
func (ps *producers) writeSnapshot(fsys vfs.FS, dir string, o Offset) error {
	return writeDerived(fsys, fsys.PathJoin(dir, fileName(o, suffixSnapshot)), encodeSnapshot(ps.snapshotOf()))
}

// straysAmong returns the snapshots that do not lie where a segment begins: a stop wrote them, or their segment was compacted away.
func straysAmong(snapshots []Offset, segs []*segment) []Offset {
	return slices.DeleteFunc(slices.Clone(snapshots), func(o Offset) bool {
		_, begins := slices.BinarySearchFunc(segs, o, func(s *segment, o Offset) int { return cmp.Compare(s.base, o) })
		return begins
	})
}

// dropStrays deletes the snapshots of earlier stops once there is one at the log's end. mu is held.
func (l *Log) dropStrays() error {
	var errs []error
	for _, o := range l.strays {
		if o != l.End() {
			errs = append(errs, removeIfExists(l.fs, l.fs.PathJoin(l.dir, fileName(o, suffixSnapshot))))
		}
	}
	l.strays = nil
	return errors.Join(errs...)
}

// loadSnapshot reads the snapshot of offset o.
func loadSnapshot(fsys vfs.FS, dir string, o Offset, now int64) ([]producerState, error) {
	data, err := readSmallFile(fsys, fsys.PathJoin(dir, fileName(o, suffixSnapshot)), maxSnapshotFile)
	if err != nil {
		return nil, err
	}
	return decodeSnapshot(data, now)
}
