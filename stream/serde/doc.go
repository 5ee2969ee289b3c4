// Package serde holds the encodings of keys and values: what a [Serde] is, and the ready-made ones, byte for byte those of Kafka's own serializers.
//
// A Serde belongs to a handle (a topic or a store), which is declared once and used by the topology, by tests and by queries; no operator takes one of its own.
//
// The package imports the standard library only. Encoding appends to the caller's buffer and makes no allocation, JSON excepted; what cannot be decoded is
// refused with a sentence, never with a panic.
package serde
