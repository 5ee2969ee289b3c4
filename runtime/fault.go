package runtime

import (
	"github.com/millrace-io/millrace/internal/topology"
)

// Decision is what becomes of a record that failed.
type Decision int8

const (
	// Fail ends the application: Run returns the fault.
	Fail Decision = iota
	// Skip goes on without the record. The skip is counted in [TaskProgress.Drops] and committed with the record's offset.
	Skip
)

// Fault is a record that failed: in which operator, which line of the program added it, and which record it was.
type Fault = topology.Fault

// Kinds of faults, see [Fault].Kind.
const (
	Deserialization = topology.FaultDeserialization
	Processing      = topology.FaultProcessing
	Production      = topology.FaultProduction
)
