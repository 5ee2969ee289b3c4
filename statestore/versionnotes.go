package statestore

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
)

// versionNotes are what was said of the keys of a versioned store since the last commit, in the order of saying, as its changelog says it again: what a deletion leaves
// depends on what was there when it came. Owned by the task's goroutine.
type versionNotes struct {
	all   []versionNote
	bytes []byte         // keys and values of all, one after another
	last  *overlay.Table // the last note of each key:
	//
	//	┌─────────┐      ┌──────────┬─────────┐
	//	│ key   n │  ─▶  │ number 8 │ late  1 │   number is an index of all; late is 1 when something later was said of the key before
	//	└─────────┘      └──────────┴─────────┘
	scratch [8 + 1]byte
}

// versionNote is one thing said: that a key has a value from a time on, or nothing.
type versionNote struct {
	at         int64
	key, value int // where they begin in bytes
	keyLen     int
	valueLen   int // -1: nothing
}

const versionNoteBytes = 5 * 8

func newVersionNotes() versionNotes {
	return versionNotes{last: overlay.New(0), bytes: []byte{}} // an empty value is not nothing
}

// add notes what was said of a key, nil being nothing. late says that something later was said of it before.
func (n *versionNotes) add(key, value []byte, at int64, late bool) {
	if value != nil && n.replace(key, value, at) {
		return
	}
	v := versionNote{at: at, key: len(n.bytes), keyLen: len(key), value: len(n.bytes) + len(key), valueLen: -1}
	if n.bytes = append(n.bytes, key...); value != nil {
		n.bytes, v.valueLen = append(n.bytes, value...), len(value)
	}
	binary.BigEndian.PutUint64(n.scratch[:], uint64(len(n.all)))
	n.scratch[8] = flagOf(late)
	n.last.Put(key, n.scratch[:])
	n.all = append(n.all, v)
}

// replace puts a value in the place of the one that was said last of the key, if it was said of the same time: nothing depends on the former one.
func (n *versionNotes) replace(key, value []byte, at int64) bool {
	b, _, known := n.last.Get(key)
	if !known {
		return false
	}
	v := &n.all[binary.BigEndian.Uint64(b)]
	if v.at != at || v.valueLen < 0 {
		return false
	}
	if len(value) > v.valueLen {
		v.value = len(n.bytes)
		n.bytes = append(n.bytes, value...)
	} else {
		copy(n.bytes[v.value:], value)
	}
	v.valueLen = len(value)
	return true
}

// each calls emit for every note.
func (n *versionNotes) each(emit func(key, value []byte, timestamp int64) error) error {
	for i := range n.all {
		v := &n.all[i]
		var value []byte
		if v.valueLen >= 0 {
			value = n.bytes[v.value : v.value+v.valueLen : v.value+v.valueLen]
		}
		if err := emit(n.bytes[v.key:v.key+v.keyLen], value, v.at); err != nil {
			return err
		}
	}
	return nil
}

// eachLate calls f for every key whose last note is not the latest thing said of it, in the order of the keys.
func (n *versionNotes) eachLate(f func(key []byte) error) error {
	for _, i := range n.last.Sorted() {
		key, v, _ := n.last.EntryAt(i)
		if v[8] == 0 {
			continue
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return nil
}

func (n *versionNotes) stagedBytes() int {
	return len(n.bytes) + len(n.all)*versionNoteBytes + n.last.StagedBytes()
}

// keptNoteBytes is how much memory of notes is kept for the next ones.
const keptNoteBytes = 1 << 20

func (n *versionNotes) discard() {
	n.last.Discard()
	if n.all, n.bytes = n.all[:0], n.bytes[:0]; cap(n.bytes) > keptNoteBytes {
		n.bytes = []byte{}
	}
	if cap(n.all) > keptNoteBytes/versionNoteBytes {
		n.all = nil
	}
}
