package serde

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Windowed is the key of a windowed result: the key of the records and the time that they lie in. That is the half-open [Start, End) for windows of a size; a sliding
// window and a session also hold the records at their End.
type Windowed[K any] struct {
	Key        K
	Start, End int64 // ms since 1970
}

// StartTime returns the first instant of the window.
func (w Windowed[K]) StartTime() time.Time { return time.UnixMilli(w.Start) }

// EndTime returns the end of the window.
func (w Windowed[K]) EndTime() time.Time { return time.UnixMilli(w.End) }

// startBytes is the size of the window's start behind the encoded key.
const startBytes = 8

// TimeWindowed is the serde of windows of one size, byte for byte that of Kafka Streams' time-windowed serializer: the encoded key, then the start as 8
// big-endian bytes. The end is not written: it follows from the size, which is the longest duration for windows without an end. Records with such keys are
// partitioned by the inner key alone.
func TimeWindowed[K any](key Serde[K], size time.Duration) Serde[Windowed[K]] {
	if size == math.MaxInt64 {
		return timeWindowed[K]{key: key, sizeMs: math.MaxInt64}
	}
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

// WindowedBy is [TimeWindowed] for windows that have no one size, such as the months of a calendar: end returns the end of the window that begins at start.
func WindowedBy[K any](key Serde[K], end func(start int64) int64) Serde[Windowed[K]] {
	return windowedBy[K]{timeWindowed[K]{key: key}, end}
}

type windowedBy[K any] struct {
	timeWindowed[K]
	end func(start int64) int64
}

func (s windowedBy[K]) Decode(b []byte) (Windowed[K], error) {
	w, err := s.timeWindowed.Decode(b)
	if err == nil {
		w.End = s.end(w.Start)
	}
	return w, err
}

// PartitionKey returns the part of an encoded key that chooses the partition.
func (s timeWindowed[K]) PartitionKey(encoded []byte) []byte {
	return encoded[:len(encoded)-startBytes]
}

// SessionWindowed is the serde of sessions, byte for byte that of Kafka Streams' session-windowed serializer: the encoded key, then the end and the start as 8
// big-endian bytes each. Records with such keys are partitioned by the inner key alone.
func SessionWindowed[K any](key Serde[K]) Serde[Windowed[K]] { return sessionWindowed[K]{key} }

type sessionWindowed[K any] struct{ key Serde[K] }

// sessionBytes is the size of a session's end and start behind the encoded key.
const sessionBytes = 16

func (s sessionWindowed[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	b, err := s.key.Append(dst, w.Key)
	if err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(w.End)), uint64(w.Start)), nil
}

func (s sessionWindowed[K]) Decode(b []byte) (w Windowed[K], err error) {
	if len(b) < sessionBytes {
		return w, fmt.Errorf("serde: session key: %d bytes, want %d or more", len(b), sessionBytes)
	}
	at := len(b) - sessionBytes
	w.End, w.Start = int64(binary.BigEndian.Uint64(b[at:])), int64(binary.BigEndian.Uint64(b[at+8:]))
	if w.Start < 0 || w.End < w.Start {
		return Windowed[K]{}, fmt.Errorf("serde: session key: from %d to %d", w.Start, w.End)
	}
	if w.Key, err = s.key.Decode(b[:at]); err != nil {
		return Windowed[K]{}, fmt.Errorf("serde: session key: %w", err)
	}
	return w, nil
}

// PartitionKey returns the part of an encoded key that chooses the partition.
func (s sessionWindowed[K]) PartitionKey(encoded []byte) []byte {
	return encoded[:len(encoded)-sessionBytes]
}
