package stream

import (
	"fmt"
	"io"
	"sync"

	"github.com/millrace-io/millrace/internal/topology"
)

// Print ends a stream with a line of text for each record: "[label]: key, value", where null is spelled out. Each line is one Write, and only one at a time,
// whatever tasks it comes from; an error of Write is a fault of the record. As with [Peek], lines may come again after a failure.
func Print[K, V any](s *Stream[K, V], to io.Writer, label string) {
	op, g := topology.Here("stream.Print"), s.graph()
	requireFunc(g, op, to == nil)
	out := &printer{to: to}
	topology.AddProcessor(g, op, g.NextName("KSTREAM-PRINTER-"), s.parents(), func(w *topology.Wiring, n *topology.Node, _ topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		fail := w.Failure(n, topology.FaultProcessing)
		var line []byte // of this task
		return func(r *topology.Record[K, V]) error {
			*at = id
			line = append(append(append(line[:0], '['), label...), "]: "...)
			line = appendText(line, r.Key, r.KeyNull)
			line = append(line, ", "...)
			line = append(appendText(line, r.Value, r.ValueNull), '\n')
			if err := out.write(line); err != nil {
				return fail(err)
			}
			return nil
		}
	})
}

// printer lets one task at a time write.
type printer struct {
	mu sync.Mutex
	to io.Writer // guarded by mu
}

func (p *printer) write(line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.to.Write(line)
	return err
}

func appendText[T any](dst []byte, v T, null bool) []byte {
	if null {
		return append(dst, "null"...)
	}
	return fmt.Append(dst, v)
}
