package serde

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Windowed is the key of a windowed result: the key of the records and the half-open time [Start, End) that they lie in.
type Windowed[K any] struct {
	Key        K
	Start, End int64 // ms since 1970
}

// StartTime returns the first instant of the window.
func (w Windowed[K]) StartTime() time.Time { return time.UnixMilli(w.Start) }

// EndTime returns the first instant after the window.
func (w Windowed[K]) EndTime() time.Time { return time.UnixMilli(w.End) }

// startBytes is the size of the window's start behind the encoded key.
const startBytes = 8

// TimeWindowed is the serde of windows of one size, byte for byte that of Kafka Streams' time-windowed serializer: the encoded key, then the start as 8
// big-endian bytes. The end is not written: it follows from the size. Records with such keys are partitioned by the inner key alone.
func TimeWindowed[K any](key Serde[K], size time.Duration) Serde[Windowed[K]] {
	return timeWindowed[K]{key: key, sizeMs: size.Milliseconds()}
}

type timeWindowed[K any] struct {
	key    Serde[K]
	sizeMs int64
}

func (s timeWindowed[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	b, err := s.key.Append(dst, w.Key)
	if err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint64(b, uint64(w.Start)), nil
}

func (s timeWindowed[K]) Decode(b []byte) (w Windowed[K], err error) {
	if len(b) < startBytes {
		return w, fmt.Errorf("serde: windowed key: %d bytes, want %d or more", len(b), startBytes)
	}
	at := len(b) - startBytes
	start := int64(binary.BigEndian.Uint64(b[at:]))
	if start < 0 {
		return w, fmt.Errorf("serde: windowed key: negative start %d", start)
	}
	key, err := s.key.Decode(b[:at])
	if err != nil {
		return w, fmt.Errorf("serde: windowed key: %w", err)
	}
	end := int64(math.MaxInt64)
	if start <= math.MaxInt64-s.sizeMs {
		end = start + s.sizeMs
	}
	return Windowed[K]{Key: key, Start: start, End: end}, nil
}

// PartitionKey returns the part of an encoded key that chooses the partition.
func (s timeWindowed[K]) PartitionKey(encoded []byte) []byte {
	return encoded[:len(encoded)-startBytes]
}
