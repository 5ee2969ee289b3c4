package api

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A shape says how the body of a flexible request is laid out, so that a frame can be walked before it is decoded. The decoder believes every count of
// tagged fields, and 2³² of them in a frame of twenty bytes would keep it busy for minutes; a walk that stops where the bytes stop costs microseconds.
//
// Shapes are written as words, one for each field in order:
//
//	1 2 4 8 16   that many bytes
//	s            a string or bytes of any length, or null
//	[ … ]        a list of structs (or of what is between the brackets), or null
//	? … !        a struct or null, behind a byte that says which
//	t            tagged fields; t4 where field 1 is ReplicaState, which has tagged fields of its own
//
// A word may end in the versions that have the field: @9+ from 9 on, @-8 up to 8.
//
// Requests that are missing here are walked by nobody; a test makes sure that none is.
var shapes = map[int16]string{
	0:  "s 2 4 [ s@-12 16@13+ [ 4 s t ] t ] t",
	1:  "4@-14 4 4 4 1 4 4 [ s@-12 16@13+ [ 4 4 8 4 8 4 t ] t ] [ s@-12 16@13+ [ 4 ] t ] s t4",
	2:  "4 1 [ s [ 4 4 8 t ] t ] 4@10+ t",
	3:  "[ 16@10+ s t ] 1 1@-10 1 t",
	8:  "s 4 s s [ s@-9 16@10+ [ 4 8 4 s t ] t ] t",
	9:  "s@-7 [@-7 s [ 4 ] t ] [@8+ s s@9+ 4@9+ [ s@-9 16@10+ [ 4 ] t ] t ] 1@7+ t",
	10: "s@-3 1 [@4+ s ] t",
	11: "s 4 4 s s s [ s s t ] s@8+ t",
	12: "s 4 s s t",
	13: "s [ s s s@5+ t ] t",
	14: "s 4 s s s@5+ s@5+ [ s s t ] t",
	15: "[ s ] 1 t",
	16: "[@4+ s ] [@5+ s ] t",
	18: "s s t",
	19: "[ s 4 2 [ 4 [ 4 ] t ] [ s s t ] t ] 4 1 t",
	20: "[@6+ s 16 t ] [@-5 s ] 4 t",
	21: "[ s [ 4 8 t ] t ] 4 t",
	22: "s 4 8@3+ 2@3+ t",
	23: "4 [ s [ 4 4 4 t ] t ] t",
	24: "s@-3 8@-3 2@-3 [@-3 s [ 4 ] t ] [@4+ s 8 2 1 [ s [ 4 ] t ] t ] t",
	25: "s 8 2 s t",
	26: "s 8 2 1 t",
	27: "[ 8 2 1 [ s [ 4 ] t ] 4 1@2+ t ] t",
	28: "s s 8 2 4 s s [ s [ 4 8 4 s t ] t ] t",
	29: "1 s 1 s s 1 1 t",
	30: "[ 1 s 1 s s 1 1 t ] t",
	31: "[ 1 s 1 s s 1 1 t ] t",
	32: "[ 1 s [ s ] t ] 1 1 t",
	33: "[ 1 s [ s s t ] t ] 1 t",
	35: "[ s [ 4 ] t ] t",
	36: "s t",
	37: "[ s 4 [ [ 4 ] t ] t ] 4 1 t",
	42: "[ s ] t",
	43: "1 [ s [ 4 ] t ] 4 t",
	44: "[ 1 s [ s 1 s t ] t ] 1 t",
	45: "4 1@1+ [ s [ 4 [ 4 ] t ] t ] t",
	46: "4 [ s [ 4 ] t ] t",
	55: "[ s [ 4 t ] t ] t",
	57: "4 [ s 2 1@-0 1@1+ t ] 1@1+ t",
	60: "1 1@1+ 1@2+ t",
	61: "[ s [ 4 ] t ] t",
	65: "[ s ] t",
	66: "[ s ] [ 8 ] 8@1+ s@2+ t",
	68: "s s 4 s s 4 [ s ] s@1+ s [ 16 [ 4 ] t ] t",
	69: "[ s ] 1 t",
	74: "[@1+ 1 ] t",
	75: "[ s t ] 4 ? s 4 t ! t",
}

// replicaState is the shape of tagged field 1 of Fetch.
const replicaState = "4 8 t"

// maxElements bounds what one request may list, over all its lists: decoding makes a struct of each.
const maxElements = 1 << 20

// shapeOp is a word of a shape, made ready for one version.
type shapeOp struct {
	kind  byte // 'n' bytes, 's' string, '[' list, '?' struct or null, 't' tags
	size  int64
	inner []shapeOp // of a list or struct; of tags: what is in field 1, if that has tags of its own
}

// readyShapes holds the shapes by key and version.
var readyShapes = sync.OnceValue(func() map[[2]int16][]shapeOp {
	ready := map[[2]int16][]shapeOp{}
	for key, shape := range shapes {
		for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
			ready[[2]int16{key, version}] = compileShape(strings.Fields(shape), version)
		}
	}
	return ready
})

func compileShape(words []string, version int16) []shapeOp {
	var ops []shapeOp
	for i := 0; i < len(words); i++ {
		word, here := versioned(words[i], version)
		op := shapeOp{kind: word[0]}
		switch word {
		case "[", "?":
			end := closing(words, i)
			op.inner = compileShape(words[i+1:end], version)
			i = end
		case "s", "t":
		case "t4":
			op.inner = compileShape(strings.Fields(replicaState), version)
		default:
			n, err := strconv.Atoi(word)
			if err != nil {
				panic("api: a shape with the word " + word)
			}
			op.kind, op.size = 'n', int64(n)
		}
		if here {
			ops = append(ops, op)
		}
	}
	return ops
}

// versioned splits the versions off a word and reports whether ours is one of them.
func versioned(word string, version int16) (string, bool) {
	word, versions, ok := strings.Cut(word, "@")
	if !ok {
		return word, true
	}
	if first, ok := strings.CutSuffix(versions, "+"); ok {
		n, _ := strconv.Atoi(first)
		return word, int(version) >= n
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(versions, "-"))
	return word, int(version) <= n
}

// closing returns the place of the bracket that closes the one at i.
func closing(words []string, i int) int {
	depth := 0
	for ; i < len(words); i++ {
		switch word, _, _ := strings.Cut(words[i], "@"); word {
		case "[", "?":
			depth++
		case "]", "!":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("api: a shape with an open bracket")
}

// CheckShape walks the body of a flexible request and reports whether its counts and lengths stay within its bytes. Bytes after the last field are no
// fault.
func CheckShape(key, version int16, body []byte) error {
	w := shapeWalk{rest: body}
	w.walk(readyShapes()[[2]int16{key, version}])
	return w.fault
}

// shapeWalk is a walk over a body.
type shapeWalk struct {
	rest     []byte
	elements int64
	fault    error
}

func (w *shapeWalk) walk(ops []shapeOp) {
	for i := range ops {
		if w.fault != nil {
			return
		}
		switch op := &ops[i]; op.kind {
		case 'n':
			w.take(op.size)
		case 's':
			if n := w.uvarint(); n > 0 {
				w.take(n - 1)
			}
		case 't':
			w.tags(op)
		case '[':
			w.repeat(w.uvarint()-1, op.inner) // 0 stands for null
		case '?':
			if b := w.take(1); len(b) == 1 && int8(b[0]) >= 0 {
				w.walk(op.inner)
			}
		}
	}
}

func (w *shapeWalk) repeat(n int64, ops []shapeOp) {
	if w.elements += max(n, 0); w.elements > maxElements {
		w.fail("lists more than %d elements", maxElements)
	}
	for ; n > 0 && w.fault == nil; n-- {
		w.walk(ops)
	}
}

func (w *shapeWalk) tags(op *shapeOp) {
	for n := w.uvarint(); n > 0 && w.fault == nil; n-- {
		tag, size := w.uvarint(), w.uvarint()
		value := w.take(size)
		if tag == 1 && op.inner != nil && w.fault == nil {
			field := shapeWalk{rest: value}
			field.walk(op.inner)
			w.fault = field.fault
		}
	}
}

func (w *shapeWalk) uvarint() int64 {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 || v > math.MaxUint32 {
		w.fail("ends inside a number")
		return 0
	}
	w.rest = w.rest[n:]
	return int64(v)
}

func (w *shapeWalk) take(n int64) []byte {
	if n > int64(len(w.rest)) {
		w.fail("ends inside a field")
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

func (w *shapeWalk) fail(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf("the request "+format, args...)
		w.rest = nil
	}
}
