package statestore

import "bytes"

// Noter is the side of a write-back cache that keeps the headers of changes until they are handed on. They are neither stored nor written to the changelog.
type Noter interface {
	// NoteHeaders says that the change made last, by Put, Delete or Remove, came with these headers: the change replaces what was noted for its key. They are copied.
	NoteHeaders(headers []Header)
	// Spill does what Flush does when more is held back than the store may hold. Call it after each change, and after NoteHeaders.
	Spill() error
	// NotedHeaders are those of the change that Flush hands on at the moment.
	NotedHeaders() []Header
}

// noted are the headers of keys that wait for Flush. Few records have headers, so that a map of pointers is no burden.
type noted struct {
	byKey   map[string][]Header // by encoded key
	bytes   int                 // the memory that byKey takes
	current []Header
}

// headerBytes is what a header takes besides its key and value, notedBytes what a key with headers takes besides those and itself: strings, slices and their share of the
// map.
const (
	headerBytes = 40
	notedBytes  = 56
)

func bytesOf(key []byte, headers []Header) int {
	n := notedBytes + len(key)
	for _, h := range headers {
		n += headerBytes + len(h.Key) + len(h.Value)
	}
	return n
}

// note copies the headers of a change.
func (n *noted) note(key []byte, headers []Header) {
	if was, ok := n.byKey[string(key)]; ok {
		n.bytes -= bytesOf(key, was)
	}
	if len(headers) == 0 {
		delete(n.byKey, string(key))
		return
	}
	n.bytes += bytesOf(key, headers)
	copied := make([]Header, len(headers))
	for i, h := range headers {
		copied[i] = Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	if n.byKey == nil {
		n.byKey = map[string][]Header{}
	}
	n.byKey[string(key)] = copied
}

// Spill hands on what is held back when it is too much.
func (c *core) Spill() error {
	if c.holdBytes == 0 || c.table.HeldBytes()+c.noted.bytes <= c.holdBytes {
		return nil
	}
	return c.Flush()
}

// NotedHeaders are those of the change that Flush hands on at the moment.
func (n *noted) NotedHeaders() []Header { return n.current }

// forget lets go of all headers.
func (n *noted) forget() {
	clear(n.byKey)
	n.bytes, n.current = 0, nil
}
