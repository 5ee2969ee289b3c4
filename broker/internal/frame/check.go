package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
)

// MaxMemory is the most that decoding and answering a request may take beside its own bytes, as Check estimates it: enough for a request that names 200,000 partitions, and
// little enough that one request does not use up what all share.
const MaxMemory = 64 << 20

// programs are the layouts of all requests, by key and version.
var programs = compile(dataRequests(), groupRequests(), transactionRequests(), clusterRequests())

// layout returns the program for a version of a request, or nil.
func layout(key, version int16) program {
	if key < 0 || int(key) >= len(programs) || version < 0 || int(version) >= len(programs[key]) {
		return nil
	}
	return programs[key][version]
}

// Check reports whether body holds a request of the given key and version, and how many bytes of memory decoding and answering it takes at most, beside body itself and the data that
// the answer carries. Bytes after the request are accepted.
func Check(key, version int16, body []byte) (memory int, err error) {
	memory, _, err = check(key, version, body)
	return memory, err
}

// check is Check that also returns the bytes after the request.
func check(key, version int16, body []byte) (memory int, rest []byte, err error) {
	p := layout(key, version)
	if p == nil {
		return 0, nil, fmt.Errorf("frame: there is no layout for version %d of request %d", version, key)
	}
	w := walker{rest: body, memory: base}
	if err := w.run(p); err != nil {
		return 0, nil, fmt.Errorf("frame: %w", err)
	}
	if w.memory > MaxMemory {
		return 0, nil, fmt.Errorf("frame: %w", errMemory)
	}
	return w.memory, w.rest, nil
}

// HeaderTags steps over the tagged fields at the end of a request's header and returns what follows.
func HeaderTags(b []byte) (rest []byte, err error) {
	w := walker{rest: b}
	if err := w.tags(nil); err != nil {
		return nil, fmt.Errorf("frame: tagged fields of the header: %w", err)
	}
	return w.rest, nil
}

var (
	errShort    = errors.New("the bytes end within a field")
	errNull     = errors.New("null for a field that is never null")
	errVarint   = errors.New("a variable-length number has no end or more than 32 bits")
	errMemory   = fmt.Errorf("decoding takes more than %d bytes of memory", MaxMemory)
	errPresence = errors.New("the byte before a struct that may be null is neither 1 nor -1")
)

// maxText is the longest string, also where its length is a uvarint (as Kafka has it): names become keys of records, whose strings have
// a length of two bytes.
const maxText = 1<<15 - 1

// walker goes through a request. It belongs to one call of check.
type walker struct {
	rest   []byte
	memory int
}

func (w *walker) run(p program) error {
	for i := range p {
		var err error
		switch s := &p[i]; s.do {
		case skip:
			err = w.skip(s.n)
		case copied:
			err = w.text(s)
		case pointed:
			var n int
			if n, err = w.length(s, 4); err == nil && n > 0 {
				err = w.skip(n)
			}
		case list:
			err = w.list(s)
		case presence:
			err = w.presence(s)
		case tags:
			err = w.tags(s.known)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) skip(n int) error {
	if n > len(w.rest) {
		return errShort
	}
	w.rest = w.rest[n:]
	return nil
}

func (w *walker) text(s *step) error {
	n, err := w.length(s, 2)
	switch {
	case err != nil || n < 0:
		return err
	case n > maxText:
		return fmt.Errorf("a string of %d bytes", n)
	}
	w.memory += n + pointer
	if s.null {
		w.memory += pointer
	}
	return w.skip(n)
}

// length reads a length or a count; -1 is null. Unless it is compact, it has the given number of bytes.
func (w *walker) length(s *step, width int) (n int, err error) {
	switch {
	case s.compact:
		v, err := w.uvarint()
		if err != nil {
			return 0, err
		}
		n = int(v) - 1
	case len(w.rest) < width:
		return 0, errShort
	case width == 2:
		n, w.rest = int(int16(binary.BigEndian.Uint16(w.rest))), w.rest[2:]
	default:
		n, w.rest = int(int32(binary.BigEndian.Uint32(w.rest))), w.rest[4:]
	}
	switch {
	case n >= 0:
		return n, nil
	case !s.null: // any negative length is that of null
		return 0, errNull
	}
	return -1, nil
}

func (w *walker) list(s *step) error {
	n, err := w.length(s, 4)
	if err != nil || n <= 0 {
		return err
	}
	if n > len(w.rest)/s.n {
		return fmt.Errorf("%d elements of at least %d bytes, with %d bytes left", n, s.n, len(w.rest))
	}
	w.memory += n*s.memory + pointer
	if w.memory > MaxMemory {
		return errMemory
	}
	if len(s.body) == 1 && s.body[0].do == skip {
		return w.skip(n * s.n)
	}
	for range n {
		if err := w.run(s.body); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) presence(s *step) error {
	if len(w.rest) == 0 {
		return errShort
	}
	marker := int8(w.rest[0])
	w.rest = w.rest[1:]
	switch marker {
	case -1:
		return nil
	case 1:
		w.memory += s.memory
		return w.run(s.body)
	}
	return errPresence
}

// tags walks the tagged fields of a struct: a count, then number, size and bytes of each, in rising order of their numbers.
func (w *walker) tags(known []content) error {
	n, err := w.uvarint()
	if err != nil || n == 0 {
		return err
	}
	for last := int64(-1); n > 0; n-- {
		tag, err := w.uvarint()
		if err != nil {
			return err
		}
		if int64(tag) <= last {
			return fmt.Errorf("tagged field %d comes after %d", tag, last)
		}
		last = int64(tag)
		size, err := w.uvarint()
		if err != nil {
			return err
		}
		if int64(size) > int64(len(w.rest)) {
			return fmt.Errorf("tagged field %d has %d bytes, with %d left", tag, size, len(w.rest))
		}
		if err := w.tag(known, tag, int(size)); err != nil {
			return err
		}
	}
	return nil
}

// tag walks the content of one tagged field, which is all of its bytes.
func (w *walker) tag(known []content, tag uint32, size int) error {
	after := w.rest[size:]
	for i := range known {
		if known[i].tag != tag {
			continue
		}
		if known[i].body == nil {
			return fmt.Errorf("tagged field %d is of another version", tag)
		}
		w.rest = w.rest[:size]
		if err := w.run(known[i].body); err != nil {
			return fmt.Errorf("tagged field %d: %w", tag, err)
		}
		if len(w.rest) > 0 {
			return fmt.Errorf("tagged field %d goes on for %d bytes after its end", tag, len(w.rest))
		}
		w.rest = after
		return nil
	}
	w.memory += unknownTag
	if w.memory > MaxMemory {
		return errMemory
	}
	w.rest = after
	return nil
}

func (w *walker) uvarint() (uint32, error) {
	if len(w.rest) > 0 && w.rest[0] < 0x80 {
		v := uint32(w.rest[0])
		w.rest = w.rest[1:]
		return v, nil
	}
	v, n := kbin.Uvarint(w.rest)
	if n <= 0 {
		return 0, errVarint
	}
	w.rest = w.rest[n:]
	return v, nil
}
