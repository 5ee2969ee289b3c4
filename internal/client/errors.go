package client

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// One sentinel per decision that a caller makes. Every error of this package that asks for a decision wraps one of them.
var (
	// ErrAbort means that this transaction, or without transactions this run of batches, cannot be completed. The producer is usable again after End(abort).
	ErrAbort = errors.New("the transaction must be aborted")
	// ErrFenced means that another producer uses the same transactional id, or was told to take over what this one did.
	ErrFenced = errors.New("the producer is fenced")
	// ErrRebalanced means that the group does not accept offsets from this member: it was removed, or its tasks went elsewhere.
	ErrRebalanced = errors.New("the group has moved on without this member")
	// ErrGeneration means that the group is in another generation than the one that offsets were sent with. The member may still be part of it.
	ErrGeneration = errors.New("the group generation has changed")
	// ErrUnknownOutcome means that the coordinator did not tell in time whether a transaction was committed.
	ErrUnknownOutcome = errors.New("the outcome of the transaction is unknown")
	// ErrOffsetOutOfRange means that the offset asked for is no longer, or not yet, in the log.
	ErrOffsetOutOfRange = errors.New("the offset is out of range")
	// ErrTopicChanged means that a topic was deleted, or deleted and created again.
	ErrTopicChanged = errors.New("the topic is gone or was created anew")
	// ErrClosed means that the Producer or Fetcher was closed.
	ErrClosed = errors.New("client: closed")
)

// produceFault says what a partition's error in a Produce response means.
type produceFault int8

const (
	produceRetry produceFault = iota // the same batch again, after a refresh of the metadata
	produceDone                      // the batch is in the log already
	produceAbort                     // give up this transaction; the producer can go on with the next
	produceFenced
	produceFatal
)

func classifyProduce(err error) produceFault {
	switch {
	case errors.Is(err, kerr.DuplicateSequenceNumber):
		return produceDone
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.TransactionCoordinatorFenced):
		return produceFenced
	case errors.Is(err, kerr.InvalidProducerEpoch), // the coordinator may have timed the transaction out: End tells who it was
		errors.Is(err, kerr.OutOfOrderSequenceNumber),
		errors.Is(err, kerr.UnknownProducerID),
		errors.Is(err, kerr.InvalidTxnState),
		errors.Is(err, kerr.InvalidProducerIDMapping),
		errors.Is(err, kerr.TransactionAbortable):
		return produceAbort
	case errors.Is(err, kerr.ConcurrentTransactions), kerr.IsRetriable(err):
		return produceRetry
	}
	return produceFatal
}

// txnError turns an error code of a transaction coordinator or group coordinator into the sentinel that the caller decides by.
func txnError(err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.TransactionCoordinatorFenced):
		return wrap(ErrFenced, err)
	case errors.Is(err, kerr.TransactionAbortable), errors.Is(err, kerr.InvalidTxnState), errors.Is(err, kerr.InvalidProducerIDMapping),
		errors.Is(err, kerr.UnknownProducerID):
		return wrap(ErrAbort, err)
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.RebalanceInProgress):
		return wrap(ErrGeneration, err)
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.StaleMemberEpoch):
		return wrap(ErrRebalanced, err)
	}
	return err
}

// retriable reports whether a request may be sent again: the broker said so, or there is no answer because the connection broke. Callers bound how often.
func retriable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return false
	}
	if _, ok := errors.AsType[*permanent](err); ok {
		return false
	}
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return ke.Retriable || errors.Is(err, kerr.ConcurrentTransactions)
	}
	return true
}

// permanent hides that its cause could be retried: that was done.
type permanent struct{ cause error }

func (e *permanent) Error() string { return e.cause.Error() }
func (e *permanent) Unwrap() error { return e.cause }

// decided pairs a sentinel with its cause, so that errors.Is finds both and the text stays one sentence.
type decided struct{ sentinel, cause error }

func wrap(sentinel, cause error) error { return &decided{sentinel, cause} }

func (d *decided) Error() string   { return d.sentinel.Error() + ": " + d.cause.Error() }
func (d *decided) Unwrap() []error { return []error{d.sentinel, d.cause} }
