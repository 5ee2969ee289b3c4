package topology

import (
	"fmt"
	"strings"
)

// FaultKind says at which step a record failed.
type FaultKind int8

const (
	FaultDeserialization FaultKind = iota // a source could not decode it
	FaultProcessing                       // a user's function returned an error or panicked
	FaultProduction                       // a result could not be encoded for its topic or store, or is too large for its topic
	FaultTimestamp                        // a record has no usable event time: no handler is asked, the source's options decide
	FaultInternal                         // a store or the environment failed: no handler can skip it
)

func (k FaultKind) String() string {
	switch k {
	case FaultDeserialization:
		return "deserialization"
	case FaultProcessing:
		return "processing"
	case FaultProduction:
		return "production"
	case FaultTimestamp:
		return "timestamp"
	case FaultInternal:
		return "internal"
	}
	return fmt.Sprintf("FaultKind(%d)", int8(k))
}

// Fault is a record that failed: where in the topology, where in the user's program, and which record of which topic caused it.
type Fault struct {
	Kind FaultKind
	Task TaskID
	Node string // the operator
	Op   string // the DSL function that added it, such as "stream.Map"
	Site Site   // the user's line that added it
	// Topic, Partition and Offset name the input record in process; Topic is empty when none was (a flush or a punctuation).
	Topic     string
	Partition int32
	Offset    int64
	Err       error  // what went wrong; a recovered panic is a *[Panic]
	Stack     []byte // of a recovered panic, else nil

	// Timestamp is the time of what the operator was given. Record is the input record in process as it lay in its topic, nil when none was, and Headers are those of
	// what the operator was given. The last two are borrowed: they are there while a handler is asked, and nil afterwards.
	Timestamp int64
	Record    *RawRecord
	Headers   []Header

	decided bool // the handler has been asked: outer operators must not ask again
}

func (f *Fault) Error() string {
	var b strings.Builder
	if f.Op != "" {
		fmt.Fprintf(&b, "%s at %s (%s)", f.Op, f.Site, f.Node)
	} else if f.Node != "" {
		b.WriteString(f.Node)
	} else {
		b.WriteString("task")
	}
	if f.Topic != "" {
		fmt.Fprintf(&b, ": topic %s, partition %d, offset %d", f.Topic, f.Partition, f.Offset)
	}
	fmt.Fprintf(&b, ": %s: %v", f.Kind, f.Err)
	return b.String()
}

func (f *Fault) Unwrap() error { return f.Err }

// Panic is the error of a fault that was a panic in a user's function.
type Panic struct{ Value any }

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the panic's value when it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}
