package frame

// program is the layout of one version, made for walking: what has a fixed size is one step.
type program []step

type step struct {
	do      action
	null    bool
	compact bool
	n       int       // skip: bytes; list: the fewest bytes of an element
	memory  int       // list: what an element takes
	body    program   // list: of an element; presence: of the struct
	known   []content // tags
}

type action uint8

const (
	skip     action = iota // n bytes
	copied                 // a text
	pointed                // a blob
	list                   // an array
	presence               // a struct that may be null
	tags                   // the tagged fields at the end of a struct
)

// content is the value of a tagged field that the protocol knows. Without a body, this version must not have it.
type content struct {
	tag  uint32
	body program
}

// What decoding and answering take, in bytes of memory.
const (
	// base is for the request and the answer as such.
	base = 4 << 10

	// answerShare is added for every element: an answer has about one for each of its request, and none is larger.
	answerShare = 256

	// pointer is for the header of a text that may be null, and for the end of a small allocation.
	pointer = 16

	// unknownTag is for a tagged field that the protocol does not know: it ends in a map, and the map is most of it.
	unknownTag = 512
)

// compile makes the programs of all versions of all messages, by key and version.
func compile(messages ...[]message) [][]program {
	var all [][]program
	for _, some := range messages {
		for i := range some {
			m := &some[i]
			for int(m.key) >= len(all) {
				all = append(all, nil)
			}
			all[m.key] = compileVersions(m)
		}
	}
	return all
}

// compileVersions leaves versions that look the same the same program.
func compileVersions(m *message) []program {
	programs := make([]program, m.max+1)
	for v := m.min; v <= m.max; v++ {
		if v > m.min && v != m.flexible && !changes(m.fields, v) {
			programs[v] = programs[v-1]
			continue
		}
		c := compiler{version: v, flexible: v >= m.flexible}
		programs[v] = c.structure(m.fields)
	}
	return programs
}

type compiler struct {
	version  int16
	flexible bool
}

// structure makes the program of a struct's fields.
func (c compiler) structure(fields []field) program {
	p := program{} // not nil, even when it is empty: nil is a version that there is not
	for i := range fields {
		if f := &fields[i]; f.in(c.version) && f.tag == untagged {
			p = c.field(p, f)
		}
	}
	if !c.flexible {
		return p
	}
	end := step{do: tags}
	for i := range fields {
		f := &fields[i]
		if f.tag == untagged {
			continue
		}
		known := content{tag: uint32(f.tag)}
		if f.in(c.version) {
			known.body = c.field(nil, f)
		}
		end.known = append(end.known, known)
	}
	return append(p, end)
}

// field appends the steps of a field to p.
func (c compiler) field(p program, f *field) program {
	s := step{null: c.version >= f.nulls, compact: c.flexible}
	switch f.kind {
	case fixed:
		if last := len(p) - 1; last >= 0 && p[last].do == skip {
			p[last].n += int(f.size)
			return p
		}
		s.do, s.n = skip, int(f.size)
	case text:
		s.do = copied
	case blob:
		s.do = pointed
	case array:
		s.do, s.body = list, c.field(nil, &f.of[0])
		s.n, s.memory = s.body.fewest(), memoryOf(&f.of[0])+answerShare
	case arrays:
		s.do, s.body = list, c.structure(f.of)
		s.n, s.memory = s.body.fewest(), memoryOfStruct(f.of)+answerShare
	case object:
		if !s.null {
			return append(p, c.structure(f.of)...)
		}
		s.do, s.body, s.memory = presence, c.structure(f.of), memoryOfStruct(f.of)
	}
	return append(p, s)
}

// fewest is the fewest bytes that a program can walk.
func (p program) fewest() int {
	n := 0
	for i := range p {
		switch s := &p[i]; {
		case s.do == skip:
			n += s.n
		case s.do == copied && !s.compact:
			n += 2
		case (s.do == pointed || s.do == list) && !s.compact:
			n += 4
		default:
			n++
		}
	}
	return n
}

// memoryOfStruct is the size of a decoded struct, which has the fields of all versions.
func memoryOfStruct(fields []field) int {
	const unknownTags = 8 // the pointer to those that have been kept
	n := unknownTags
	for i := range fields {
		n += (memoryOf(&fields[i]) + 7) &^ 7
	}
	return n
}

// memoryOf is the size of a decoded field, without what it points to.
func memoryOf(f *field) int {
	switch f.kind {
	case fixed:
		return int(f.size)
	case text:
		return 16
	case object:
		return memoryOfStruct(f.of)
	default:
		return 24
	}
}
