package topology

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/statestore"
)

// Decision is what becomes of a record that failed.
type Decision int8

const (
	Fail       Decision = iota // ends the task
	Skip                       // goes on without the record, which is counted
	DeadLetter                 // as Skip, and a copy of the input record goes to the dead-letter topic
)

func (d Decision) String() string {
	switch d {
	case Fail:
		return "fail"
	case Skip:
		return "skip"
	case DeadLetter:
		return "dead letter"
	}
	return fmt.Sprintf("Decision(%d)", int8(d))
}

// FaultPolicy says what becomes of records that fail. Immutable while tasks run; its handlers are called by several tasks at once.
type FaultPolicy struct {
	// Deserialization, Processing and Production are asked about faults of their kind. Nil fails, and costs nothing: operators are guarded one by one only
	// for the kinds that have a handler.
	Deserialization func(*Fault) Decision
	Processing      func(*Fault) Decision
	Production      func(*Fault) Decision
	// DeadLetterTopic takes the records of the decision DeadLetter.
	DeadLetterTopic string
}

// FaultEnv is what an [Env] may also implement. Without it every fault ends the task.
type FaultEnv interface {
	Faults() *FaultPolicy
}

// Validate reports what is wrong with the policy.
func (p *FaultPolicy) Validate() error {
	if p.DeadLetterTopic == "" {
		return nil
	}
	return checkTopicName(p.DeadLetterTopic)
}

func (p *FaultPolicy) handler(kind FaultKind) func(*Fault) Decision {
	switch kind {
	case FaultDeserialization:
		return p.Deserialization
	case FaultProcessing:
		return p.Processing
	case FaultProduction:
		return p.Production
	}
	return nil
}

// guards tells whether operators are guarded one by one.
func (p *FaultPolicy) guards() bool { return p.Processing != nil || p.Production != nil }

// ErrRejected is wrapped by errors of [Env.Send] about the record itself: others can be sent after it.
var ErrRejected = errors.New("the record cannot be written")

// production tells whether an error says that a result has no encoding or cannot be written, which is the result's fault and nobody else's.
func production(err error) bool {
	return errors.Is(err, statestore.ErrEncoding) || errors.Is(err, ErrRejected)
}

// settle asks the handler about a fault that nobody has decided yet, and does what it says. The timestamp and headers are those of what the node was given.
func (t *Task) settle(err error, n *Node, timestamp int64, headers []Header) error {
	if err == nil || t.policy == nil {
		return err
	}
	var f *Fault
	if !errors.As(err, &f) {
		if !production(err) {
			return err
		}
		f = t.newFault(FaultProduction, n, err)
	}
	if f.decided {
		return err
	}
	handler := t.policy.handler(f.Kind)
	if handler == nil {
		return f
	}
	f.decided = true
	f.Record, f.Timestamp, f.Headers = t.raw, timestamp, headers
	decision, broken := decide(handler, f)
	var letter RawRecord
	if decision == DeadLetter {
		letter = t.letter(f)
	}
	f.Record, f.Headers = nil, nil // only borrowed, and faults are kept
	switch {
	case broken != nil:
		f.Err = errors.Join(f.Err, broken)
		return f
	case decision == Fail:
		return f
	case decision == DeadLetter:
		if err := t.send(&letter); err != nil {
			f.Err = errors.Join(f.Err, fmt.Errorf("the dead letter: %w", err))
			return f
		}
	}
	t.env.Dropped(f.Node, f.Kind.drop())
	return nil
}

// decide asks a handler; one that panics has not decided.
func decide(handler func(*Fault) Decision, f *Fault) (d Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler of %s faults: %w", f.Kind, &Panic{Value: p})
		}
	}()
	d = handler(f)
	if d < Fail || d > DeadLetter {
		return Fail, fmt.Errorf("the handler of %s faults decided %v", f.Kind, d)
	}
	return d, nil
}

func (k FaultKind) drop() DropReason {
	switch k {
	case FaultDeserialization:
		return DropPoison
	case FaultProduction:
		return DropUnwritable
	}
	return DropFailed
}

func (t *Task) send(letter *RawRecord) error {
	if t.policy.DeadLetterTopic == "" {
		return errors.New("no dead-letter topic is configured")
	}
	return t.env.Send(TopicRef{Name: t.policy.DeadLetterTopic}, byKey, letter)
}

// The headers of a dead letter behind those of the record, as Kafka Streams names them (KIP-1034). All values are text.
const (
	headerException  = "__streams.errors.exception"
	headerMessage    = "__streams.errors.message"
	headerStacktrace = "__streams.errors.stacktrace"
	headerTopic      = "__streams.errors.topic"
	headerPartition  = "__streams.errors.partition"
	headerOffset     = "__streams.errors.offset"
)

// letter is the dead letter of a fault: the input record as it lay in its topic, and what happened to it. Where none was in process (a flush or a punctuation),
// key, value and topic are null.
func (t *Task) letter(f *Fault) RawRecord {
	l := RawRecord{Timestamp: f.Timestamp, Headers: append([]Header(nil), f.Headers...)}
	if l.Timestamp < 0 {
		l.Timestamp = t.env.Now()
	}
	topic, partition, offset := []byte(nil), int64(-1), int64(-1)
	if f.Record != nil {
		l.Key, l.Value = f.Record.Key, f.Record.Value
		topic, partition, offset = []byte(f.Topic), int64(f.Partition), f.Offset
	}
	l.Headers = append(l.Headers,
		Header{Key: headerException, Value: []byte(f.errorType())},
		Header{Key: headerMessage, Value: []byte(f.Err.Error())},
		Header{Key: headerStacktrace, Value: []byte(f.trace())},
		Header{Key: headerTopic, Value: topic},
		Header{Key: headerPartition, Value: strconv.AppendInt(nil, partition, 10)},
		Header{Key: headerOffset, Value: strconv.AppendInt(nil, offset, 10)},
	)
	return l
}

// trace is the way to the fault: the operator with the user's line, and the stack of a panic.
func (f *Fault) trace() string {
	if len(f.Stack) == 0 {
		return f.Error()
	}
	return f.Error() + "\n" + string(f.Stack)
}

// errorType stands where Kafka Streams names the exception's class: the innermost type in the chain of errors that says something, or else the kind of the fault.
func (f *Fault) errorType() string {
	name := f.Kind.String() + " error"
	for err := f.Err; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(*Panic); ok {
			name = "panic"
		} else if n := reflect.TypeOf(err).String(); !strings.HasPrefix(n, "*errors.") && !strings.HasPrefix(n, "*fmt.") {
			name = n
		}
	}
	return name
}
