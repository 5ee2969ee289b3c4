package overlay

// ref is a position in an arena: the chunk's number in the upper half, the offset in the chunk in the lower.
type ref uint64

const (
	firstChunkBytes = 4 << 10 // a store of a handful of keys costs a page
	maxChunkBytes   = 1 << 20
)

// arena hands out bytes that stay where they are until Reset. Its chunks are the only pointers.
type arena struct {
	chunks    [][]byte // chunks[i][:len] is handed out
	allocated int      // bytes handed out since the last reset
}

// alloc returns n bytes of unspecified content.
func (a *arena) alloc(n int) (ref, []byte) {
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < n {
		size := firstChunkBytes
		if last >= 0 {
			size = min(2*cap(a.chunks[last]), maxChunkBytes)
		}
		a.chunks = append(a.chunks, make([]byte, 0, max(size, n)))
		last++
	}
	chunk := a.chunks[last]
	at := len(chunk)
	a.chunks[last] = chunk[:at+n]
	a.allocated += n
	return ref(last)<<32 | ref(at), chunk[at : at+n : at+n]
}

// at returns the n bytes at r.
func (a *arena) at(r ref, n uint32) []byte {
	off := uint32(r)
	return a.chunks[r>>32][off : off+n : off+n]
}

// reset forgets everything handed out and keeps the first chunk for further use.
func (a *arena) reset() {
	if len(a.chunks) > 0 {
		clear(a.chunks[1:])
		a.chunks = a.chunks[:1]
		a.chunks[0] = a.chunks[0][:0]
	}
	a.allocated = 0
}
