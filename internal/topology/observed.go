package topology

import (
	"encoding/binary"
	"errors"
)

// observedTimes are the stream times of single operators, by durable name. They travel with the committed offsets:
//
//	version(1) = 1 | { nameLen uvarint | name | time+1 uvarint }…
type observedTimes struct {
	names []string
	cells []*int64
}

const observedVersion = 1

func (o *observedTimes) cell(name string) *int64 {
	for i, have := range o.names {
		if have == name {
			return o.cells[i]
		}
	}
	c := new(int64)
	*c = -1
	o.names, o.cells = append(o.names, name), append(o.cells, c)
	return c
}

func (o *observedTimes) encode() []byte {
	var b []byte
	for i, c := range o.cells {
		if *c < 0 {
			continue
		}
		if b == nil {
			b = append(b, observedVersion)
		}
		b = binary.AppendUvarint(b, uint64(len(o.names[i])))
		b = append(b, o.names[i]...)
		b = binary.AppendUvarint(b, uint64(*c)+1)
	}
	return b
}

var errObserved = errors.New("operator times are cut off")

// decode sets the cells of the operators that are there and ignores the times of others. Times never go back: with several metadata strings
// (one a partition) the highest counts.
func (o *observedTimes) decode(b []byte) error {
	if len(b) == 0 || b[0] != observedVersion {
		return nil // nothing was kept, or by a newer version: times start afresh
	}
	for b = b[1:]; len(b) > 0; {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return errObserved
		}
		name := string(b[w : w+int(n)])
		b = b[w+int(n):]
		v, w := binary.Uvarint(b)
		if w <= 0 {
			return errObserved
		}
		b = b[w:]
		for i, have := range o.names {
			if have == name {
				*o.cells[i] = max(*o.cells[i], int64(v)-1)
			}
		}
	}
	return nil
}
