package memtest

import "runtime"

// tries bounds how often something is counted that seems too much.
const tries = 5

// Allocated returns how many bytes a call of fn allocates, freed ones too.
func Allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Within calls fn until it allocates no more than limit bytes, a few times at most, and returns the least that it took. fn must do the same each time.
func Within(limit int64, fn func()) (least int64, ok bool) {
	least = Allocated(fn)
	for range tries - 1 {
		if least <= limit {
			break
		}
		least = min(least, Allocated(fn))
	}
	return least, least <= limit
}
