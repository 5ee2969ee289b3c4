package frame

import "math"

// kind is what a field is on the wire.
type kind uint8

const (
	fixed  kind = iota // a number of bytes that is always the same
	text               // a length (2 bytes, or a uvarint) and characters, which decoding copies
	blob               // a length (4 bytes, or a uvarint) and bytes, which decoding points to
	array              // a count (4 bytes, or a uvarint) and elements that are single values
	arrays             // a count and elements that are structs
	object             // a struct; one that may be null has a byte before it
)

// field is one field of a message over all its versions. The methods return changed copies.
type field struct {
	kind     kind
	size     int16 // of a fixed field
	from, to int16 // the versions that have it, both inclusive
	nulls    int16 // it may be null from this version on
	tag      int16 // number of a tagged field; untagged otherwise
	of       []field
}

const (
	always   = math.MaxInt16 // as the last version
	never    = math.MaxInt16 // as the first version
	untagged = -1
)

// The vocabulary of the layouts.
var (
	flag = number(1)
	i8   = number(1)
	i16  = number(2)
	i32  = number(4)
	i64  = number(8)
	f64  = number(8)
	uuid = number(16)
	str  = plain(text)
	data = plain(blob)
)

func plain(k kind, of ...field) field {
	return field{kind: k, to: always, nulls: never, tag: untagged, of: of}
}

func number(size int16) field {
	f := plain(fixed)
	f.size = size
	return f
}

func arrayOf(element field) field        { return plain(array, element) }
func structs(fields ...field) field      { return plain(arrays, fields...) }
func structure(fields ...field) field    { return plain(object, fields...) }
func tagged(number int16, f field) field { f.tag = number; return f }

func (f field) since(version int16) field     { f.from = version; return f }
func (f field) until(version int16) field     { f.to = version; return f }
func (f field) null() field                   { return f.nullSince(0) }
func (f field) nullSince(version int16) field { f.nulls = version; return f }

func (f *field) in(version int16) bool { return f.from <= version && version <= f.to }

// changes reports whether fields look otherwise in a version than in the one before it.
func changes(fields []field, version int16) bool {
	for i := range fields {
		f := &fields[i]
		if f.from == version || f.to == version-1 || f.nulls == version || changes(f.of, version) {
			return true
		}
	}
	return false
}

// message is the layout of a request: its versions [min, max], those from flexible on with compact lengths and tagged fields.
type message struct {
	key, min, max int16
	flexible      int16
	fields        []field
}
