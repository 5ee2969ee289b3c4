package replica

import "errors"

// What callers decide on. Errors of the log come through as they are.
var (
	// ErrUnknownPartition: the broker has no such partition.
	ErrUnknownPartition = errors.New("replica: unknown topic or partition")
	// ErrOffline: the partition's log, or the directory with all of them, cannot be used; a restart of the broker checks it in full.
	ErrOffline = errors.New("replica: offline")
	// ErrDisk: the file system failed to do what it was asked for, with no doubt about what the log holds. Another try may do.
	ErrDisk = errors.New("replica: the disk failed")
	// ErrClosed: the partition was deleted or the broker is going down.
	ErrClosed = errors.New("replica: the partition is closed")
	// ErrNotEnoughReplicas: fewer replicas are in sync than acks=all needs.
	ErrNotEnoughReplicas = errors.New("replica: fewer replicas in sync than min.insync.replicas")
	// ErrFencedEpoch: the caller knows an older leader epoch than the partition is in.
	ErrFencedEpoch = errors.New("replica: leader epoch is fenced")
	// ErrUnknownEpoch: the caller knows a newer leader epoch than the partition is in.
	ErrUnknownEpoch = errors.New("replica: leader epoch is not known yet")
)
