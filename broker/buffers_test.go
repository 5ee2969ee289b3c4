package broker

import (
	"math/rand/v2"
	"testing"
)

// TestBuffersAreKeptBySize: what was given back serves the next request that fits, and nothing else.
func TestBuffersAreKeptBySize(t *testing.T) {
	var p buffers
	if b := p.take(1); b != nil {
		t.Fatalf("an empty pool gave %d bytes", cap(b))
	}
	b := p.make(300 << 10)
	if cap(b) != 512<<10 {
		t.Fatalf("a buffer for 300 KiB has %d bytes", cap(b))
	}
	p.give(b)
	if got := p.take(513 << 10); got != nil {
		t.Fatalf("%d bytes were taken for 513 KiB", cap(got))
	}
	got := p.take(100)
	if cap(got) != cap(b) || &got[0] != &b[0] {
		t.Fatal("a kept buffer was not used again")
	}
	if again := p.take(100); again != nil {
		t.Fatal("one buffer was taken twice")
	}
}

// TestALargeBufferDisplacesSmallOnes: the ones that a growing buffer left behind do not keep it out.
func TestALargeBufferDisplacesSmallOnes(t *testing.T) {
	var p buffers
	for n := smallestBuffer; n <= largestBuffer; n *= 2 {
		p.give(make([]byte, n))
	}
	if b := p.take(largestBuffer); cap(b) != largestBuffer {
		t.Fatalf("the largest buffer is gone, its place has %d bytes", cap(b))
	}
}

// TestKeptBuffersAreBounded gives and takes at random: what is kept never passes its bound, and is what the lists hold.
func TestKeptBuffersAreBounded(t *testing.T) {
	const seed = 7
	draw := rand.New(rand.NewPCG(seed, seed))
	var p buffers
	var out [][]byte
	for step := range 300 {
		if n := draw.IntN(20 << 20); draw.IntN(2) == 0 {
			if b := p.take(n); b != nil {
				if cap(b) < n {
					t.Fatalf("seed %d, step %d: %d bytes for %d", seed, step, cap(b), n)
				}
				out = append(out, b)
			}
		} else if len(out) > 0 && draw.IntN(2) == 0 {
			p.give(out[len(out)-1])
			out = out[:len(out)-1]
		} else {
			p.give(make([]byte, smallestBuffer<<draw.IntN(bufferClasses+1)))
			p.give(make([]byte, draw.IntN(1<<20))) // not of the pool's sizes
		}
		sum := 0
		for class, list := range p.bySize {
			if (len(list) > 0) != (p.classes&(1<<class) != 0) {
				t.Fatalf("seed %d, step %d: class %d has %d, says %b", seed, step, class, len(list), p.classes)
			}
			for _, b := range list {
				sum += cap(b)
			}
		}
		if sum != p.kept || sum > keepBuffers {
			t.Fatalf("seed %d, step %d: %d bytes are kept, %d counted, %d allowed", seed, step, sum, p.kept, keepBuffers)
		}
	}
}
