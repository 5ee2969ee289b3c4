package api

// seen counts how often a request names something. What is much larger described than named must not be described as often as a client cares to name
// it: a megabyte of one topic's id would ask for gigabytes of that topic's partitions.
type seen[K comparable] map[K]int

// maxNamings is how often one thing is described in an answer. Apache Kafka describes some things as often as they are named, and nobody names
// anything more than twice on purpose.
const maxNamings = 4

// first reports whether k was not named before, and takes note of it.
func (s seen[K]) first(k K) bool {
	s[k]++
	return s[k] == 1
}

// few reports whether k was not named too often yet, and takes note of it.
func (s seen[K]) few(k K) bool {
	s[k]++
	return s[k] <= maxNamings
}
