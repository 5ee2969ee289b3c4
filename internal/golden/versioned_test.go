package golden_test

import (
	"strconv"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// versionedTable is a table with history; such a store cannot be listed at the end of a case.
func (in *interpreter) versionedTable(op *caseOp, topic stream.Topic[text, text], opts []stream.SourceOption) tabler {
	types := in.c.Topics[op.Topic]
	spec := versioned(in, op, topic.KeySerde(), topic.ValueSerde())
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

// versioned makes the handle of a versioned store with a case's options, and registers it.
func versioned[K, V any](in *interpreter, op *caseOp, keys serde.Serde[K], values serde.Serde[V]) *statestore.VersionedSpec[K, V] {
	spec := statestore.Versioned(op.Store, keys, values, op.history())
	if op.Logging != nil && !*op.Logging {
		spec = spec.WithoutChangelog()
	}
	if op.StoreType == "inMemory" || op.StoreType == "" && in.c.Config.StoreType == "inMemory" {
		spec = spec.InMemory()
	}
	versionedStore(in, op, spec)
	return spec
}

// rowsOf makes the handle of the store that an operator keeps the rows of its table in, of the kind that the case asks for, and registers it.
func rowsOf[K, V any](in *interpreter, op *caseOp, keys serde.Serde[K], values serde.Serde[V]) statestore.TableSpec[K, V] {
	if op.Versioned != nil {
		return versioned(in, op, keys, values)
	}
	spec := keyValue(op, in.c.Config, statestore.KeyValue(op.Store, keys, values))
	named(in, op, spec)
	return spec
}

// versionedStore registers a store that can be asked for a key only.
func versionedStore[K, V any](in *interpreter, op *caseOp, spec *statestore.VersionedSpec[K, V]) {
	in.stores[op.Store] = storeReader{
		query: func(m machine, s *caseStep) (out []storeEntry, err error) {
			versions, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			key, ok := any(textOf(s.Key)).(K)
			if !ok {
				skip("query by a windowed key")
			}
			v, ts, found, err := versions.Get(key)
			if s.AsOf != nil {
				v, ts, found, err = versions.GetAsOf(key, *s.AsOf)
			}
			if err != nil || !found {
				return nil, err
			}
			return []storeEntry{{Key: s.Key, Value: valueText(v).ptr(), TS: &ts}}, nil
		},
	}
}
