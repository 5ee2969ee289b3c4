package ktable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// instruction says what a subscription is to do at the right table.
type instruction uint8

const (
	unsubscribe       instruction = iota // forget it and say nothing
	unsubscribeAnswer                    // forget it and answer that there is no row
	subscribeAnswer                      // keep it and answer in any case
	subscribe                            // keep it and answer when there is a row
)

// subscription is what the row of a left table tells the right table's task: that it refers to a key there, or no longer does. It is the value of the
// subscription topic, whose key is the foreign key, and of the subscription store.
//
//	┌─────────────────────┬───────────────┬───────────┬─────────────┬─────────────┐
//	│ no hash 1b, ver. 7b │ instruction 1 │ hash 0|16 │ left key  n │ partition 4 │   partition from version 1 on
//	└─────────────────────┴───────────────┴───────────┴─────────────┴─────────────┘
type subscription[K any] struct {
	instruction instruction
	hash        hash128 // of the left row
	hasHash     bool    // false: the left row is gone
	key         K       // of the left row
	partition   int32   // of the left row's task; -1 when a version before 1 wrote it
}

const (
	noHash              = 0x80
	subscriptionVersion = 1
	responseVersion     = 0
	partitionBytes      = 4
)

// appendHash appends the first byte and the hash of a message; between come those of its own.
func appendHash(dst []byte, version byte, between []byte, hash *hash128, has bool) []byte {
	if !has {
		return append(append(dst, version|noHash), between...)
	}
	return append(append(append(dst, version), between...), hash[:]...)
}

var errShortMessage = errors.New("the message of a foreign-key join is cut off")

// cutHash splits what appendHash wrote; between is the number of its bytes there.
func cutHash(b []byte, version byte, between int) (mid, rest []byte, hash hash128, has bool, err error) {
	if len(b) < 1+between {
		return nil, nil, hash, false, errShortMessage
	}
	if v := b[0] &^ noHash; v > version {
		return nil, nil, hash, false, fmt.Errorf("the message of a foreign-key join has version %d, newer than %d: upgrade all instances first", v, version)
	}
	mid, rest = b[1:1+between], b[1+between:]
	if b[0]&noHash != 0 {
		return mid, rest, hash, false, nil
	}
	if len(rest) < len(hash) {
		return nil, nil, hash, false, errShortMessage
	}
	return mid, rest[len(hash):], hash128(rest), true, nil
}

type subscriptionSerde[K any] struct{ key serde.Serde[K] }

func (s subscriptionSerde[K]) Append(dst []byte, m subscription[K]) ([]byte, error) {
	version := byte(subscriptionVersion)
	if m.partition < 0 {
		version = 0
	}
	start := len(dst)
	dst, err := s.key.Append(appendHash(dst, version, []byte{byte(m.instruction)}, &m.hash, m.hasHash), m.key)
	if err != nil {
		return dst[:start], err
	}
	if version > 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.partition))
	}
	return dst, nil
}

func (s subscriptionSerde[K]) Decode(b []byte) (m subscription[K], err error) {
	mid, rest, hash, has, err := cutHash(b, subscriptionVersion, 1)
	if err != nil {
		return m, err
	}
	m.instruction, m.hash, m.hasHash, m.partition = instruction(mid[0]), hash, has, -1
	if m.instruction > subscribe {
		return m, fmt.Errorf("the message of a foreign-key join has the unknown instruction %d", mid[0])
	}
	if b[0]&^noHash > 0 {
		if len(rest) < partitionBytes {
			return m, errShortMessage
		}
		m.partition = int32(binary.BigEndian.Uint32(rest[len(rest)-partitionBytes:]))
		rest = rest[:len(rest)-partitionBytes]
	}
	m.key, err = s.key.Decode(rest)
	return m, err
}

// response is the answer to a subscription: the right table's row, if there is one. It is the value of the response topic, whose key is the left row's.
//
//	┌─────────────────────┬───────────┬──────────────┐
//	│ no hash 1b, ver. 7b │ hash 0|16 │ right row  n │   nothing is no row, as is a row without bytes
//	└─────────────────────┴───────────┴──────────────┘
type response[W any] struct {
	hash      hash128 // as subscribed
	hasHash   bool
	row       W
	found     bool
	partition int32 // where to; not written
}

type responseSerde[W any] struct{ row serde.Serde[W] }

func (s responseSerde[W]) Append(dst []byte, m response[W]) ([]byte, error) {
	start := len(dst)
	dst = appendHash(dst, responseVersion, nil, &m.hash, m.hasHash)
	if !m.found {
		return dst, nil
	}
	dst, err := s.row.Append(dst, m.row)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

func (s responseSerde[W]) Decode(b []byte) (m response[W], err error) {
	_, rest, hash, has, err := cutHash(b, responseVersion, 0)
	if err != nil {
		return m, err
	}
	m.hash, m.hasHash, m.partition = hash, has, -1
	if m.found = len(rest) > 0; m.found {
		m.row, err = s.row.Decode(rest)
	}
	return m, err
}

// subscriber is the key of the subscription store: a key of the right table and one of the left rows that refer to it.
//
//	┌───────────────┬────────────────┬─────────────┐
//	│ its length  4 │ foreign key  n │ left key  n │   big-endian
//	└───────────────┴────────────────┴─────────────┘
type subscriber[FK, K any] struct {
	foreign FK
	key     K
}

type subscriberSerde[FK, K any] struct {
	foreign serde.Serde[FK]
	key     serde.Serde[K]
}

const lengthBytes = 4

// prefix appends what the keys of all subscribers of a foreign key begin with.
func (s subscriberSerde[FK, K]) prefix(dst []byte, foreign FK) ([]byte, error) {
	start := len(dst)
	dst, err := s.foreign.Append(append(dst, make([]byte, lengthBytes)...), foreign)
	if err != nil {
		return dst[:start], err
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthBytes))
	return dst, nil
}

func (s subscriberSerde[FK, K]) Append(dst []byte, c subscriber[FK, K]) ([]byte, error) {
	start := len(dst)
	dst, err := s.prefix(dst, c.foreign)
	if err != nil {
		return dst, err
	}
	if dst, err = s.key.Append(dst, c.key); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

func (s subscriberSerde[FK, K]) Decode(b []byte) (c subscriber[FK, K], err error) {
	if len(b) < lengthBytes {
		return c, errShortMessage
	}
	n, rest := binary.BigEndian.Uint32(b), b[lengthBytes:]
	if uint64(n) > uint64(len(rest)) {
		return c, errShortMessage
	}
	if c.foreign, err = s.foreign.Decode(rest[:n]); err != nil {
		return c, err
	}
	c.key, err = s.key.Decode(rest[n:])
	return c, err
}
