package runtime

import (
	"encoding/base64"
	"encoding/binary"
)

// offsetMetadata is what a worker commits beside each offset, in the string that Kafka keeps with it (offset.metadata.max.bytes, 4096 by default). Without it stream
// time would begin anew after every move of a task, and records that were too late would be counted.
//
//	base64 without padding of: 'M' 'R' version(1) = 1 | partition time int64 big-endian, -1: none | owner length uvarint | owner | operators' times, to the end
//
// The owner is the transactional id that committed, so that whoever takes the task over can fence it even when no member of the group knows it any more. Metadata
// of another form (another program's, a newer version's) reads as none.
type offsetMetadata struct {
	time      int64
	owner     string
	operators []byte // topology.Task.Metadata
}

const metadataVersion = 1

func (m offsetMetadata) encode() string {
	b := append(make([]byte, 0, 64+len(m.operators)), 'M', 'R', metadataVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.time))
	b = binary.AppendUvarint(b, uint64(len(m.owner)))
	b = append(b, m.owner...)
	b = append(b, m.operators...)
	return base64.RawStdEncoding.EncodeToString(b)
}

func decodeMetadata(s string) offsetMetadata {
	none := offsetMetadata{time: -1}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || len(b) < 11 || b[0] != 'M' || b[1] != 'R' || b[2] != metadataVersion {
		return none
	}
	m := offsetMetadata{time: int64(binary.BigEndian.Uint64(b[3:]))}
	n, w := binary.Uvarint(b[11:])
	if w <= 0 || n > uint64(len(b)-11-w) {
		return none
	}
	b = b[11+w:]
	m.owner = string(b[:n])
	if rest := b[n:]; len(rest) > 0 {
		m.operators = rest
	}
	return m
}

// checkpoint is what a partition of the engine holds of its changelog:
//
//	version(1) = 1 | topic id 16 | next offset 8 | leader epoch 4
type checkpoint struct {
	topic [16]byte
	next  int64
	epoch int32
}

const (
	checkpointVersion = 1
	checkpointBytes   = 1 + 16 + 8 + 4
)

func (c checkpoint) encode() []byte {
	b := append(make([]byte, 0, checkpointBytes), checkpointVersion)
	b = append(b, c.topic[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.next))
	return binary.BigEndian.AppendUint32(b, uint32(c.epoch))
}

// decodeCheckpoint returns false for what no version of this program wrote or an unknown one did: the partition is then restored from the beginning.
func decodeCheckpoint(b []byte) (checkpoint, bool) {
	if len(b) != checkpointBytes || b[0] != checkpointVersion {
		return checkpoint{}, false
	}
	return checkpoint{
		topic: [16]byte(b[1:17]),
		next:  int64(binary.BigEndian.Uint64(b[17:])),
		epoch: int32(binary.BigEndian.Uint32(b[25:])),
	}, true
}
