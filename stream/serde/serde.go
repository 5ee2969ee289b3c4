package serde

// Serde turns values of one type into the bytes of a topic or store and back. Implementations are safe for concurrent use and keep no reference to the
// byte slices they are given.
//
// Null is not a value of T: a record's null key or value never reaches a Serde. A type that can itself be null (a pointer, a nil slice or map, or a type
// with a method IsNull() bool) reads null as its null value, and its null value is written as null; see [NullCheck].
type Serde[T any] interface {
	// Append appends the encoding of v to dst and returns the longer slice, like the append functions of strconv. On an error dst's contents are kept.
	Append(dst []byte, v T) ([]byte, error)
	// Decode reads one value that takes all of b. b is valid only during the call: copy what the value keeps.
	Decode(b []byte) (T, error)
}
