package memtest

import "testing"

var sink []byte

func TestWhatIsAllocatedIsCounted(t *testing.T) {
	const size = 1 << 20
	if n := Allocated(func() { sink = make([]byte, size) }); n < size || n > 2*size {
		t.Errorf("%d bytes were counted for %d", n, size)
	}
	calls := 0
	grows := func() { // too much, and then not
		calls++
		sink = make([]byte, size/calls)
	}
	if n, ok := Within(size*2/3, grows); !ok || n > size*2/3 || calls != 2 {
		t.Errorf("%d bytes after %d calls, within: %t", n, calls, ok)
	}
	calls = 0
	if _, ok := Within(10, func() { calls++; sink = make([]byte, size) }); ok || calls != tries {
		t.Errorf("after %d calls a megabyte is within ten bytes: %t", calls, ok)
	}
}
