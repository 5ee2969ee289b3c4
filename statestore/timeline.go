package statestore

import (
	"bytes"
	"encoding/binary"
)

// timeline is a core whose keys begin with a time, after a prefix of some bytes, and whose entries leave from the oldest on. Owned by the task's goroutine.
//
// An ordered map that is used as a queue is full of what has been deleted at its front. So it keeps a floor, from which walks begin, and asks the engine only for times
// that the overlay may lack.
type timeline struct {
	core
	prefix int

	loaded   bool   // the fields below tell the truth; not so after Discard
	floor    []byte // no entry has a smaller key, unless empty is set
	empty    bool   // there is no entry
	complete int64  // the overlay has all entries that there are after this time
	puts     uint64 // counts calls of put

	walks []*merged // for reuse
}

func (s *timeline) open(name string, b Backend, prefix int) error {
	*s = timeline{core: newCore(name, b, false, plain{}), prefix: prefix}
	s.absent = func(key []byte) bool { return s.loaded && (s.empty || s.timeAt(key) > s.complete) }
	s.table.KeepOrder(func(key []byte) { s.complete = max(s.complete, s.timeAt(key)) })
	return s.load()
}

// timeAt is the time in a key.
func (s *timeline) timeAt(key []byte) int64 {
	if len(key) < s.prefix+8 {
		return 0 // an open floor, or a key of another program, which is read and reported
	}
	return int64(binary.BigEndian.Uint64(key[s.prefix:]))
}

// load looks up where the engine's entries begin and end. The overlay must be empty.
func (s *timeline) load() error {
	if s.loaded {
		return nil
	}
	first, found, err := s.edge(false)
	if err != nil {
		return err
	}
	last, _, err := s.edge(true)
	if err != nil {
		return err
	}
	s.floor, s.empty, s.complete, s.loaded = append(s.floor[:0], first...), !found, -1, true
	if found {
		s.complete = s.timeAt(last)
	}
	return nil
}

// edge returns the engine's first key, or its last.
func (s *timeline) edge(last bool) (key []byte, found bool, err error) {
	it, err := s.partition.Scan(nil, nil, last)
	if err != nil {
		return nil, false, s.fail("scan", err)
	}
	if found = it.Next(); found {
		key = bytes.Clone(it.Key())
	}
	if err := it.Close(); err != nil {
		return nil, false, s.fail("scan", err)
	}
	return key, found, nil
}

// put stages an entry.
func (s *timeline) put(key, value []byte) {
	if s.empty || bytes.Compare(key, s.floor) < 0 {
		s.empty, s.floor = false, append(s.floor[:0], key...)
	}
	s.puts++
	s.table.Put(key, value)
}

// begin returns a walk over the entries from the oldest on. End it.
func (s *timeline) begin() (*merged, error) {
	if err := s.load(); err != nil {
		return nil, err
	}
	var m *merged
	if n := len(s.walks); n > 0 {
		m, s.walks = s.walks[n-1], s.walks[:n-1]
	} else {
		m = new(merged)
	}
	lo := bytes.Clone(s.floor) // the floor may rise meanwhile
	it := noEntries
	if s.timeAt(lo) <= s.complete && !s.empty {
		var err error
		if it, err = s.partition.Scan(lo, nil, false); err != nil {
			return nil, s.fail("scan", err)
		}
	}
	s.over(m, it, lo, nil, false)
	return m, nil
}

// end closes a walk and keeps its memory.
func (s *timeline) end(m *merged) error {
	err := m.close()
	s.walks = append(s.walks, m)
	if err != nil {
		s.floor, s.empty, s.complete = s.floor[:0], false, endOfTime // the walk may have passed what it did not see
		return s.fail("scan", err)
	}
	return nil
}

// rise notes that there is nothing before key, or nothing at all.
func (s *timeline) rise(key []byte, empty bool) {
	s.floor, s.empty = append(s.floor[:0], key...), empty
}

// Discard forgets staged changes and cached entries.
func (s *timeline) Discard() {
	s.core.Discard()
	s.loaded = false
}
