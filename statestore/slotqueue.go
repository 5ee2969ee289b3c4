package statestore

import (
	"bytes"
	"cmp"
)

// slotQueue is the order of a buffer's slots: a heap by time, then key. Pointer-free per slot: keys lie one after another in one piece of memory, which is copied without
// its garbage when more than half of it is that.
type slotQueue struct {
	heap    []queuedSlot
	keys    []byte
	garbage int // bytes of keys that left
}

type queuedSlot struct {
	time int64
	at   int // of the key in keys
	n    int
}

func (q *slotQueue) len() int { return len(q.heap) }

func (q *slotQueue) reset() { *q = slotQueue{heap: q.heap[:0], keys: q.keys[:0]} }

func (q *slotQueue) key(s queuedSlot) []byte { return q.keys[s.at : s.at+s.n : s.at+s.n] }

// first returns the first slot. The key is valid until the next call. The queue must not be empty.
func (q *slotQueue) first() (time int64, key []byte) {
	return q.heap[0].time, q.key(q.heap[0])
}

func (q *slotQueue) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	if c := cmp.Compare(a.time, b.time); c != 0 {
		return c < 0
	}
	return bytes.Compare(q.key(a), q.key(b)) < 0
}

// push adds a slot. The key is copied.
func (q *slotQueue) push(time int64, key []byte) {
	q.heap = append(q.heap, queuedSlot{time: time, at: len(q.keys), n: len(key)})
	q.keys = append(q.keys, key...)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// pop removes the first slot.
func (q *slotQueue) pop() {
	q.garbage += q.heap[0].n
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			break
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
	if q.garbage > len(q.keys)/2 {
		q.compact()
	}
}

// compact copies the keys that are left.
func (q *slotQueue) compact() {
	keys := make([]byte, 0, len(q.keys)-q.garbage)
	for i, s := range q.heap {
		q.heap[i].at = len(keys)
		keys = append(keys, q.key(s)...)
	}
	q.keys, q.garbage = keys, 0
}
