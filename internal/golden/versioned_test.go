package golden_test

import (
	"strconv"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// versionedTable is a table with history; such a store cannot be listed at the end of a case.
func (in *interpreter) versionedTable(op *caseOp, topic stream.Topic[text, text], opts []stream.SourceOption) tabler {
	types := in.c.Topics[op.Topic]
	spec := statestore.Versioned(op.Store, topic.KeySerde(), topic.ValueSerde(), op.history())
	if op.Logging != nil && !*op.Logging {
		spec = spec.WithoutChangelog()
	}
	if op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory" {
		spec = spec.InMemory()
	}
	return &tb[text, text]{t: ktable.FromVersioned(in.b, topic, spec, opts...), keys: topic.KeySerde(), values: topic.ValueSerde(),
		keyKind: kindOf(types.Key), kind: kindOf(types.Value)}
}

// history is how far back a versioned store of a case reaches.
func (op *caseOp) history() time.Duration {
	n, err := strconv.ParseInt(string(op.Versioned), 10, 64)
	if err != nil {
		panic(err)
	}
	return ms(n)
}
