// Package serde holds the encodings of keys and values: what a [Serde] is, and the ready-made ones, byte for byte those of Kafka's own serializers.
//
// A Serde belongs to a handle (a topic or a store), which is declared once and used by the topology, by tests and by queries; no operator takes one of its own.
package serde
