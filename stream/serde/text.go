package serde

import (
	"encoding/hex"
	"fmt"
)

var (
	// String keeps the bytes of the string as they are. Text is UTF-8 by convention; other bytes are not refused and come back unchanged.
	String Serde[string] = stringSerde{}
	// Bytes keeps bytes as they are. A nil slice is null, an empty one is not. Decode copies.
	Bytes Serde[[]byte] = bytesSerde{}
	// UUID is the text form of 36 lower-case letters, as Kafka's UUIDSerializer writes it: 123e4567-e89b-12d3-a456-426614174000. Decode takes upper case too.
	UUID Serde[[16]byte] = uuidSerde[[16]byte]{}
)

// UUIDOf is UUID for a type of one's own with the same bytes, such as that of a UUID library.
func UUIDOf[T ~[16]byte]() Serde[T] { return uuidSerde[T]{} }

type (
	stringSerde struct{}
	bytesSerde  struct{}

	uuidSerde[T ~[16]byte] struct{}
)

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

func (stringSerde) Decode(b []byte) (string, error) { return string(b), nil }

func (bytesSerde) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (bytesSerde) Decode(b []byte) ([]byte, error) { return append(make([]byte, 0, len(b)), b...), nil }

const uuidTextLen = 36

// uuidGroups are the byte ranges of a UUID that its text form separates by hyphens.
var uuidGroups = [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}}

func (uuidSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	for i, g := range uuidGroups {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, v[g[0]:g[1]])
	}
	return dst, nil
}

func (uuidSerde[T]) Decode(b []byte) (T, error) {
	var v, none T
	if err := checkSize("uuid", b, uuidTextLen); err != nil {
		return v, err
	}
	at := 0
	for i, g := range uuidGroups {
		if i > 0 {
			if b[at] != '-' {
				return none, fmt.Errorf("serde: uuid: %q at byte %d, want a hyphen", b[at], at)
			}
			at++
		}
		n := 2 * (g[1] - g[0])
		if _, err := hex.Decode(v[g[0]:g[1]], b[at:at+n]); err != nil {
			return none, fmt.Errorf("serde: uuid: digits at byte %d: %w", at, err)
		}
		at += n
	}
	return v, nil
}
