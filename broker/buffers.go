package broker

import (
	"math/bits"
	"sync"
)

// buffers keeps memory for large requests between their uses, by size. Without it every large request would be read into fresh memory: its pages would be
// cleared by the collector or the system, and copied each time the buffer grew, which costs more than reading the request.
//
// It keeps keepBuffers bytes at most, whatever came and went.
type buffers struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	kept    int
	bySize  [bufferClasses][][]byte // class i: of smallestBuffer << i bytes
	classes uint32                  // bit i: class i has some
}

const (
	smallestBuffer = 2 * firstChunk
	bufferClasses  = 8 // up to 16 MiB
	largestBuffer  = smallestBuffer << (bufferClasses - 1)
)

// classFor returns the least class whose buffers hold n bytes.
func classFor(n int) int { return max(bits.Len(uint((n-1)/smallestBuffer)), 0) }

// take returns a kept buffer that holds n bytes, of any length; nil when there is none.
func (p *buffers) take(n int) []byte {
	class := classFor(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := bits.TrailingZeros32(p.classes >> class << class)
	if at >= bufferClasses {
		return nil
	}
	return p.pop(at)
}

// make returns a buffer that holds n bytes, of any length, which give takes.
func (p *buffers) make(n int) []byte {
	if b := p.take(n); b != nil {
		return b
	}
	if n > largestBuffer {
		return make([]byte, n)
	}
	return make([]byte, smallestBuffer<<classFor(n))
}

// give keeps a buffer for another request. Nobody uses it any more.
func (p *buffers) give(b []byte) {
	class := classFor(cap(b))
	if class >= bufferClasses || cap(b) != smallestBuffer<<class {
		return // not of ours, or so large that keeping it would hold memory for the rare large request
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Smaller ones make room: a buffer that grew left them behind on its way, and a large one serves small requests too.
	for p.kept+cap(b) > keepBuffers && p.classes&(1<<class-1) != 0 {
		p.pop(bits.TrailingZeros32(p.classes))
	}
	if p.kept+cap(b) > keepBuffers {
		return
	}
	p.kept += cap(b)
	p.bySize[class] = append(p.bySize[class], b)
	p.classes |= 1 << class
}

// pop takes a buffer of a class that has some. mu is held.
func (p *buffers) pop(class int) []byte {
	list := p.bySize[class]
	last := len(list) - 1
	b := list[last]
	list[last] = nil
	p.bySize[class] = list[:last]
	if last == 0 {
		p.classes &^= 1 << class
	}
	p.kept -= cap(b)
	return b
}
