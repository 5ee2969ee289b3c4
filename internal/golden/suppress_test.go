package golden_test

import (
	"errors"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// errRefused stands for what a Go compiler refuses where the library does it when it builds.
var errRefused = errors.New("does not compile")

func (t *tb[K, V]) suppress(in *interpreter, op *caseOp) tabler {
	name := op.Name
	if name == "" {
		name = op.ID
	}
	buffer := statestore.Buffer(name+"-store", t.keys, t.values)
	if op.Logging != nil && !*op.Logging {
		buffer = buffer.WithoutChangelog()
	}
	limit := ktable.BufferLimit{EmitEarly: op.WhenFull == "emitEarly"}
	if op.MaxRecords != nil {
		limit.MaxRecords = *op.MaxRecords
		if limit.MaxRecords == 0 { // no bound in ours; a byte is less than any record takes
			limit.MaxBytes = 1
		}
	}
	out := *t
	if op.Until == "timeLimit" {
		out.t = ktable.SuppressFor(t.t, ms(op.Limit), buffer, limit)
		return &out
	}
	if windowed, ok := any(t).(*tb[stream.Windowed[text], V]); ok {
		out := *windowed
		out.t = ktable.SuppressUntilClose(windowed.t, any(buffer).(*statestore.BufferSpec[stream.Windowed[text], V]), limit)
		return &out
	}
	in.refused = errRefused // the keys are no windows
	return t
}
