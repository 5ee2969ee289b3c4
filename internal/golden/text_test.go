package golden_test

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// kind is the type of a key or value in a case.
type kind int8

const (
	null kind = iota
	str
	num // int64
)

func kindOf(name string) kind {
	if name == "int64" {
		return num
	}
	return str
}

// text is a key or value of a case: a string, an int64, or null, which is its zero value.
type text struct {
	kind kind
	s    string
	n    int64
}

// IsNull makes the operators show null to functions.
func (t text) IsNull() bool { return t.kind == null }

// String is what functions see; null must be asked for first.
func (t text) String() string {
	if t.kind == num {
		return strconv.FormatInt(t.n, 10)
	}
	return t.s
}

// ptr is the JSON form.
func (t text) ptr() *string {
	if t.kind == null {
		return nil
	}
	s := t.String()
	return &s
}

func textOf(s *string) text {
	if s == nil {
		return text{}
	}
	return text{kind: str, s: *s}
}

// keyText is the text form of any key.
func keyText[K any](k K) text {
	switch k := any(k).(type) {
	case text:
		return k
	case stream.Windowed[text]:
		return text{kind: str, s: fmt.Sprintf("%s@%d/%d", k.Key, k.Start, k.End)}
	}
	panic(fmt.Sprintf("a key of type %T", k))
}

// valueText is the text form of a value that is there.
func valueText[V any](v V) text {
	switch v := any(v).(type) {
	case text:
		return v
	case int64:
		return text{kind: num, n: v}
	}
	panic(fmt.Sprintf("a value of type %T", v))
}

// textSerde writes texts of one kind: UTF-8, or 8 bytes big-endian.
type textSerde struct{ kind kind }

func (s textSerde) Append(dst []byte, t text) ([]byte, error) {
	if t.kind != s.kind {
		return nil, fmt.Errorf("golden: a value of kind %d in a topic of kind %d", t.kind, s.kind)
	}
	if t.kind == num {
		return binary.BigEndian.AppendUint64(dst, uint64(t.n)), nil
	}
	return append(dst, t.s...), nil
}

func (s textSerde) Decode(b []byte) (text, error) {
	if s.kind == num {
		n, err := serde.Int64.Decode(b)
		return text{kind: num, n: n}, err
	}
	return text{kind: str, s: string(b)}, nil
}
