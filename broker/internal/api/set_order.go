package api

import (
	"math/bits"
	"unicode/utf16"
)

// smallSet is the number of elements up to which Scala keeps a set in the order in which it was filled.
const smallSet = 4

// setOrder returns names in the order in which Kafka answers topics that do not exist. Kafka gathers them in a Scala hash set: the order means nothing, but
// recorded conversations compare it, and one order is as good as another.
func setOrder(names []string) []string {
	if len(names) <= smallSet {
		return names
	}
	elements := make([]setElement, len(names))
	for i, name := range names {
		elements[i] = setElement{name, spread(javaHash(name))}
	}
	return appendTrie(make([]string, 0, len(names)), elements, 0)
}

type setElement struct {
	name string
	hash uint32
}

// appendTrie walks the set's trie: each node has its own elements first, and then its subtrees, both by the next five bits of the hash.
func appendTrie(dst []string, elements []setElement, shift int) []string {
	if shift >= 32 {
		for _, e := range elements {
			dst = append(dst, e.name)
		}
		return dst
	}
	var branches [32][]setElement
	var used uint32
	for _, e := range elements {
		b := e.hash >> shift & 31
		branches[b] = append(branches[b], e)
		used |= 1 << b
	}
	for rest := used; rest != 0; rest &= rest - 1 {
		if b := branches[bits.TrailingZeros32(rest)]; len(b) == 1 {
			dst = append(dst, b[0].name)
		}
	}
	for rest := used; rest != 0; rest &= rest - 1 {
		if b := branches[bits.TrailingZeros32(rest)]; len(b) > 1 {
			dst = appendTrie(dst, b, shift+5)
		}
	}
	return dst
}

// javaHash is the hash code of a Java string.
func javaHash(s string) uint32 {
	var h uint32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(unit)
	}
	return h
}

// spread mixes a hash code as Scala's sets do.
func spread(h uint32) uint32 {
	h += ^(h << 9)
	h ^= h >> 14
	h += h << 4
	return h ^ h>>10
}
