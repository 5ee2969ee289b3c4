package api

// seen tells names that come for the first time from those that a request repeats. What is much larger described than named must not be described as
// often as a client cares to name it: a megabyte of one topic's id would ask for gigabytes of that topic's partitions.
type seen[K comparable] map[K]struct{}

// first reports whether k was not named before, and takes note of it.
func (s seen[K]) first(k K) bool {
	if _, ok := s[k]; ok {
		return false
	}
	s[k] = struct{}{}
	return true
}
