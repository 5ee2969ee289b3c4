package statestore

import (
	"bytes"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
)

// merged is a walk over a store: its staged entries laid over the engine's. It sees the engine as of its begin, and staged entries as they are when it comes to
// them.
type merged struct {
	staged  overlay.Iter
	engine  Iterator
	reverse bool

	stagedOK, engineOK       bool // what stands at the iterator is not used up
	stagedEnded, engineEnded bool

	key, value []byte
	hold       []byte // a copy of a staged value, which the table's next change may move
}

// over makes m a walk over the staged entries with keys in [lo, hi), laid over the engine's entries of the same range in terms of the store's keys. Close it.
func (c *core) over(m *merged, engine Iterator, lo, hi []byte, reverse bool) {
	*m = merged{staged: m.staged, engine: engine, reverse: reverse, hold: m.hold[:0]}
	c.table.Scan(&m.staged, lo, hi, reverse)
}

// overGroup is over for the keys that consist of name and a suffix, see [overlay.Table.Group]. The engine's may be others too.
func (c *core) overGroup(m *merged, engine Iterator, name, lo, hi []byte, reverse bool) {
	*m = merged{staged: m.staged, engine: engine, reverse: reverse, hold: m.hold[:0]}
	c.table.ScanGroup(&m.staged, name, lo, hi, reverse)
}

// next moves to the next entry that has a value.
func (m *merged) next() bool {
	for {
		m.fill()
		if !m.stagedOK && !m.engineOK {
			return false
		}
		c := -1
		switch {
		case !m.stagedOK:
			c = 1
		case m.engineOK:
			c = bytes.Compare(m.staged.Key(), m.engine.Key())
			if m.reverse {
				c = -c
			}
		}
		if c > 0 {
			m.engineOK = false
			m.key, m.value = m.engine.Key(), m.engine.Value()
			return true
		}
		m.stagedOK = false
		if c == 0 {
			m.engineOK = false // hidden by the staged entry
		}
		if v, has := m.staged.Entry(); has {
			m.hold = append(m.hold[:0], v...)
			m.key, m.value = m.staged.Key(), m.hold
			return true
		}
	}
}

// fill moves the iterators whose entry is used up.
func (m *merged) fill() {
	if !m.stagedOK && !m.stagedEnded {
		m.stagedOK = m.staged.Next()
		m.stagedEnded = !m.stagedOK
	}
	if !m.engineOK && !m.engineEnded {
		m.engineOK = m.engine.Next()
		m.engineEnded = !m.engineOK
	}
}

func (m *merged) close() error {
	m.staged.Close()
	return m.engine.Close()
}
