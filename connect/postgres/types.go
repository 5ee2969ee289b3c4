package postgres

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A columnKind says how a value's text form in Postgres becomes JSON.
type columnKind uint8

const (
	kindText        columnKind = iota // a JSON string, unchanged: text, numeric, json, uuid, enums, intervals and all that has no case of its own
	kindInteger                       // a JSON number
	kindFloat                         // a JSON number; NaN and the infinities as strings
	kindBool                          // true or false
	kindBytes                         // bytea: base64, which encoding/json reads into []byte
	kindTimestamp                     // ISO 8601 without a zone
	kindTimestampTZ                   // RFC 3339 in UTC
	kindArray                         // a JSON array of the element's kind
)

// columnType is what the connector knows of a Postgres type. Immutable.
type columnType struct {
	oid       uint32
	name      string // as in pg_type
	kind      columnKind
	element   *columnType // of an array
	delimiter byte        // between an array's elements
}

// baseKinds has the types that are not plain text; all OIDs below 10000 are fixed for ever (pg_type.dat).
var baseKinds = map[uint32]columnKind{
	16: kindBool, 17: kindBytes, 20: kindInteger, 21: kindInteger, 23: kindInteger, 26: kindInteger,
	700: kindFloat, 701: kindFloat, 1114: kindTimestamp, 1184: kindTimestampTZ,
}

// appendJSON appends the JSON form of text, a value of type t in Postgres' text form. The session settings of [sessionParameters] are assumed.
func (t *columnType) appendJSON(dst, text []byte) ([]byte, error) {
	if len(text) == 0 && t.kind != kindText {
		return dst, fmt.Errorf("postgres: a value of type %s is empty", t.name)
	}
	switch t.kind {
	case kindInteger:
		return append(dst, text...), nil
	case kindFloat:
		if c := text[len(text)-1]; c == 'N' || c == 'y' { // NaN, Infinity, -Infinity
			return appendString(dst, text), nil
		}
		return append(dst, text...), nil
	case kindBool:
		if len(text) == 1 && text[0] == 't' {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case kindBytes:
		return appendBytea(dst, text)
	case kindTimestamp, kindTimestampTZ:
		return appendTimestamp(dst, text, t.kind == kindTimestampTZ), nil
	case kindArray:
		return t.appendArray(dst, text)
	default:
		return appendString(dst, text), nil
	}
}

func appendBytea(dst, text []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '\\' || text[1] != 'x' {
		return dst, fmt.Errorf("postgres: a bytea value begins with %.10q, not with \\x: bytea_output was changed for this session", text)
	}
	raw, err := hex.AppendDecode(nil, text[2:])
	if err != nil {
		return dst, fmt.Errorf("postgres: a bytea value: %w", err)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"'), nil
}

// appendTimestamp turns "2024-01-02 03:04:05.6+00" into "2024-01-02T03:04:05.6Z". What RFC 3339 cannot say (infinity, years before 1 and after 9999)
// stays as Postgres wrote it; see [Timestamp].
func appendTimestamp(dst, text []byte, zone bool) []byte {
	if len(text) < 19 || text[4] != '-' || text[10] != ' ' || text[len(text)-1] == 'C' { // …BC
		return appendString(dst, text)
	}
	dst = append(dst, '"')
	dst = append(dst, text[:10]...)
	dst = append(dst, 'T')
	rest := text[11:]
	if zone {
		rest = []byte(strings.TrimSuffix(string(rest), "+00"))
	}
	dst = append(dst, rest...)
	if zone {
		dst = append(dst, 'Z')
	}
	return append(dst, '"')
}

// arrayDepth bounds the nesting of an array: Postgres itself has six dimensions.
const arrayDepth = 6

// appendArray turns {1,NULL,{"a b"}} into a JSON array. An array whose first index is not 1 keeps its text form, as a string: JSON has no place for bounds.
func (t *columnType) appendArray(dst, text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '[' {
		return appendString(dst, text), nil
	}
	p := arrayParser{text: text, of: t}
	out, err := p.array(dst, 0)
	if err == nil && p.at != len(text) {
		err = p.fault("goes on after its end")
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

type arrayParser struct {
	text    []byte
	at      int
	of      *columnType
	scratch []byte
}

func (p *arrayParser) fault(what string) error {
	return fmt.Errorf("postgres: array of %s, byte %d: %s", p.of.element.name, p.at, what)
}

func (p *arrayParser) array(dst []byte, depth int) ([]byte, error) {
	if p.at >= len(p.text) || p.text[p.at] != '{' {
		return dst, p.fault("no opening brace")
	}
	if depth == arrayDepth {
		return dst, p.fault("too many dimensions")
	}
	p.at++
	dst = append(dst, '[')
	for first := true; ; first = false {
		if p.at >= len(p.text) {
			return dst, p.fault("ends without a closing brace")
		}
		if p.text[p.at] == '}' && first {
			break
		}
		var err error
		if dst, err = p.element(dst, depth); err != nil {
			return dst, err
		}
		if p.at >= len(p.text) {
			return dst, p.fault("ends without a closing brace")
		}
		if p.text[p.at] == '}' {
			break
		}
		if p.text[p.at] != p.of.delimiter {
			return dst, p.fault("no delimiter between elements")
		}
		p.at++
		dst = append(dst, ',')
	}
	p.at++
	return append(dst, ']'), nil
}

func (p *arrayParser) element(dst []byte, depth int) ([]byte, error) {
	switch p.text[p.at] {
	case '{':
		return p.array(dst, depth+1)
	case '"':
		p.at++
		p.scratch = p.scratch[:0]
		for p.at < len(p.text) && p.text[p.at] != '"' {
			if p.text[p.at] == '\\' {
				p.at++
			}
			if p.at < len(p.text) {
				p.scratch = append(p.scratch, p.text[p.at])
				p.at++
			}
		}
		if p.at >= len(p.text) {
			return dst, p.fault("a quoted element does not end")
		}
		p.at++
		return p.value(dst, p.scratch)
	default:
		begin := p.at
		for p.at < len(p.text) && p.text[p.at] != p.of.delimiter && p.text[p.at] != '}' {
			p.at++
		}
		text := p.text[begin:p.at]
		if len(text) == 0 {
			return dst, p.fault("an element is missing")
		}
		if string(text) == "NULL" {
			return append(dst, "null"...), nil
		}
		return p.value(dst, text)
	}
}

func (p *arrayParser) value(dst, text []byte) ([]byte, error) {
	return p.of.element.appendJSON(dst, text)
}

const hexDigits = "0123456789abcdef"

// appendString appends text as a JSON string, byte for byte as encoding/json does: a key that a Go program encodes must find the partition of the connector's.
// Postgres sends valid UTF-8; what is not becomes the replacement character.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, text[start:i]...), `\ufffd`...)
				start = i + 1
			}
			if r == '\u2028' || r == '\u2029' {
				dst = append(append(dst, text[start:i]...), '\\', 'u', '2', '0', '2', hexDigits[r&15])
				start = i + size
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}
