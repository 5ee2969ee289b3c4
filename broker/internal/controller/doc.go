// Package controller is the cluster's metadata as a replicated state machine: brokers, topics, partitions, configs, features,
// producer ids, client quotas and credentials.
//
// An Image is the whole metadata at one moment and never changes. A request is decided against an image and yields records; Apply takes an image
// and records and yields the next image. Deciding happens once, on the controller; applying happens wherever the records arrive, now or at a
// replay, and gives the same image everywhere:
//
//	(image, request) ─decide▶ records + answer          image + records ─Apply▶ image'
//
// Records carry a type and a version each (see record.go) and are the only thing that is stored or sent. A snapshot is the list of records that
// builds an image from nothing.
//
// The package is pure: no clock, no randomness, no file, no network, no goroutine. New topic ids come in as a function.
//
// Invariants, checked by Apply in tests and by Check anywhere: a topic's name and id map to the same topic; partitions are numbered 0..n-1 without
// gaps; a leader is a member of the ISR, the ISR is a subset of the replicas; leader and partition epochs and the next producer id never fall.
package controller
