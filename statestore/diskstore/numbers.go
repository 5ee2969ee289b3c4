package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

const (
	numberBytes = 4
	numberTable = 'n' // kind of system key: the number of a partition
	checkpoints = 'c' // kind of system key: the checkpoint of a partition
)

// numberKey is where the number of a partition stands.
func numberKey(id partitionID) []byte {
	k := append(make([]byte, numberBytes, numberBytes+5+len(id.store)), numberTable)
	k = binary.BigEndian.AppendUint32(k, uint32(id.partition))
	return append(k, id.store...)
}

// checkpointKey is where the checkpoint of the partition with number n stands.
func checkpointKey(n uint32) []byte {
	k := append(make([]byte, numberBytes, numberBytes+5), checkpoints)
	return binary.BigEndian.AppendUint32(k, n)
}

// loadNumbers reads the table of numbers.
func (e *Engine) loadNumbers() (err error) {
	e.mu.numbers = make(map[partitionID]uint32)
	e.mu.open = make(map[uint32]bool)
	e.mu.next = 1
	lower := []byte{0, 0, 0, 0, numberTable}
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: []byte{0, 0, 0, 0, numberTable + 1}})
	if err != nil {
		return fmt.Errorf("diskstore: %s: read the table of partitions: %w", e.dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		k, v := it.Key()[len(lower):], it.Value()
		if len(k) < 4 || len(v) != numberBytes {
			err = fmt.Errorf("an entry of %d and %d bytes is damaged", len(k), len(v))
			break
		}
		n := binary.BigEndian.Uint32(v)
		e.mu.numbers[partitionID{string(k[4:]), int32(binary.BigEndian.Uint32(k))}] = n
		e.mu.next = max(e.mu.next, n+1)
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return fmt.Errorf("diskstore: %s: read the table of partitions: %w", e.dir, err)
	}
	return nil
}
