package commitlog

import (
	"errors"
	"fmt"
	"syscall"
)

// What a caller decides on. Every error of an operation wraps at most one of them, or one of package record's, or is an error of the file
// system as it came.
var (
	// ErrOffsetOutOfRange: the offset lies below the log's start or past its end.
	ErrOffsetOutOfRange = errors.New("commitlog: offset out of range")
	// ErrCorrupt: bytes on disk are not what was written, and not for a crash at the log's tail. Nothing was cut.
	ErrCorrupt = errors.New("commitlog: corrupt log")
	// ErrOffline: a write or flush of this log failed in a way that leaves the disk's content unknown. Every call fails until the log is opened
	// again with OpenOptions.Verify.
	ErrOffline = errors.New("commitlog: log is offline after a failed write")
	// ErrNoSpace: the disk is full. Nothing of the append is visible; it may be tried again.
	ErrNoSpace = errors.New("commitlog: no space left on device")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("commitlog: log is closed")
	// ErrBatchTooLarge: a batch is larger than max.message.bytes.
	ErrBatchTooLarge = errors.New("commitlog: batch is larger than max.message.bytes")
	// ErrAppendTooLarge: the batches of one append do not fit into a segment.
	ErrAppendTooLarge = errors.New("commitlog: append is larger than segment.bytes")
	// ErrOutOfOrderSequence: a producer's batch does not follow its last one.
	ErrOutOfOrderSequence = errors.New("commitlog: sequence number out of order")
	// ErrInvalidProducerEpoch: a batch or marker comes from an earlier incarnation of its producer.
	ErrInvalidProducerEpoch = errors.New("commitlog: producer epoch is fenced")
	// ErrInvalidTxnState: a batch does not fit the state of its producer's transaction here.
	ErrInvalidTxnState = errors.New("commitlog: invalid transaction state")
	// ErrCoordinatorFenced: a marker comes from a transaction coordinator that has been replaced.
	ErrCoordinatorFenced = errors.New("commitlog: transaction coordinator is fenced")
	// ErrNotMonotonic: replicated batches do not follow the log's end.
	ErrNotMonotonic = errors.New("commitlog: offsets of replicated batches do not ascend")
	// ErrCleanAborted: the log was closed or truncated while it was cleaned. Nothing changed.
	ErrCleanAborted = errors.New("commitlog: cleaning was aborted")
)

// errFlush is in the error of a flush of bytes that were promised, or stand beside such bytes: even one for want of room leaves a doubt.
var errFlush = errors.New("flush")

// isNoSpace tells whether a write failed for want of room.
func isNoSpace(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, errFlush)
}

// IsRefusal tells whether the operating system refused a call outright: no room, no file handle, nothing to be written any more, a file larger than the process may write. What the disk holds is as it was before
// the call, so that it may be tried again. That does not go for a flush, which leaves a doubt however it fails.
func IsRefusal(err error) bool {
	if errors.Is(err, errFlush) {
		return false
	}
	return isNoSpace(err) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EFBIG)
}

// corruptAt returns ErrCorrupt with the place and the reason.
func corruptAt(file string, pos Position, reason any) error {
	return fmt.Errorf("%w: segment %s: batch at %d: %v", ErrCorrupt, file, pos, reason)
}
