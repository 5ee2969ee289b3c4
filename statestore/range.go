package statestore

import (
	"bytes"

	"github.com/millrace-io/millrace/stream/serde"
)

// Range selects keys by the order of their encoded bytes, which is that of the typed keys for strings, bytes, booleans and integers that are not negative.
// The zero value selects all keys, forwards.
type Range[K any] struct {
	from, to       K
	hasFrom, hasTo bool
	inclusive      bool
	reverse        bool
	prefix         []byte
}

// Between selects the keys in [from, to).
func Between[K any](from, to K) Range[K] {
	return Range[K]{from: from, to: to, hasFrom: true, hasTo: true}
}

// AtLeast selects the keys from a key on.
func AtLeast[K any](from K) Range[K] { return Range[K]{from: from, hasFrom: true} }

// Below selects the keys before a key.
func Below[K any](to K) Range[K] { return Range[K]{to: to, hasTo: true} }

// Prefix selects the keys whose encoding begins with these bytes.
func Prefix[K any](encoded []byte) Range[K] { return Range[K]{prefix: bytes.Clone(encoded)} }

// Inclusive makes the upper bound part of the range.
func (r Range[K]) Inclusive() Range[K] {
	r.inclusive = true
	return r
}

// Backwards walks from the last key to the first.
func (r Range[K]) Backwards() Range[K] {
	r.reverse = true
	return r
}

// bounds returns the range as encoded keys in [lo, hi), nil being open. none says that no key can lie in it.
func (r Range[K]) bounds(s serde.Serde[K]) (lo, hi []byte, none bool, err error) {
	if r.prefix != nil {
		return r.prefix, prefixEnd(r.prefix), false, nil
	}
	if r.hasFrom {
		if lo, err = s.Append([]byte{}, r.from); err != nil {
			return nil, nil, false, err
		}
	}
	if r.hasTo {
		if hi, err = s.Append([]byte{}, r.to); err != nil {
			return nil, nil, false, err
		}
		if r.inclusive {
			hi = append(hi, 0) // the smallest key after it
		}
	}
	return lo, hi, hi != nil && bytes.Compare(lo, hi) >= 0, nil
}

// prefixEnd returns the smallest key after all keys that begin with p, nil when there is none.
func prefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := bytes.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}
