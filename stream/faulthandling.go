package stream

import "github.com/millrace-io/millrace/internal/topology"

// Faults says what becomes of records that fail: one handler for each step at which that happens, and the topic for those that are put aside. It is a part of the
// configuration of an application and of a test's driver alike:
//
//	runtime.Config{Faults: stream.Faults{
//		Deserialization: stream.DeadLetterFaults,
//		Processing: func(f *stream.Fault) stream.Decision {
//			if errors.Is(f.Err, errUnknownCustomer) {
//				return stream.Skip
//			}
//			return stream.Fail
//		},
//		DeadLetterTopic: "orders-dead-letters",
//	}}
//
// A step without a handler fails on each fault: the application ends with an error that names the operator, the line that added it, and the record. A handler is
// called on the goroutine of the task, by several tasks at once, and again for a record that is processed again. One that panics fails.
//
// What an operator was given is what is skipped: operators beside it get the record all the same, and what operators above it stored stays stored. A skip is counted
// by operator and reason.
//
// A dead letter is a copy of the input record, key, value and headers as they lay in their topic, with Kafka Streams' headers behind its own:
// __streams.errors.exception, .message, .stacktrace, .topic, .partition and .offset. It is sent to the partition of its key. With exactly-once it is
// in the transaction of the record's offset: a record that is put aside is put aside once. A record that fails the application leaves no dead letter.
//
// Stores, and the environment that a task runs in, are no record's fault, nor is a suppressed table that is full: no handler is asked about them. About records without a usable time the options of their
// source decide ([SkipInvalidTimestamps] and its kin).
type Faults = topology.FaultPolicy

// Fault is a record that failed: in which operator, which line of the program added it, which record it was, and why.
type Fault = topology.Fault

// FaultKind says at which step a record failed.
type FaultKind = topology.FaultKind

// The kinds of faults.
const (
	FaultDeserialization = topology.FaultDeserialization // a source could not decode it
	FaultProcessing      = topology.FaultProcessing      // a function returned an error or panicked
	FaultProduction      = topology.FaultProduction      // a result could not be encoded for its topic or store, or is too large for its topic
	FaultTimestamp       = topology.FaultTimestamp       // it has no usable time
	FaultInternal        = topology.FaultInternal        // a store or the environment failed
)

// Decision is what becomes of a record that failed.
type Decision = topology.Decision

// The decisions.
const (
	Fail       = topology.Fail       // the application ends
	Skip       = topology.Skip       // it goes on without the record
	DeadLetter = topology.DeadLetter // it goes on without the record, of which a copy goes to Faults.DeadLetterTopic
)

// SkipFaults is the handler that skips whatever fails.
func SkipFaults(*Fault) Decision { return Skip }

// DeadLetterFaults is the handler that puts aside whatever fails.
func DeadLetterFaults(*Fault) Decision { return DeadLetter }
