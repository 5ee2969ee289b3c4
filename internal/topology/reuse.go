package topology

import "github.com/millrace-io/millrace/statestore"

// ReuseSource makes a table's topic the changelog of its store, which then has none of its own: what the table took of the topic is what a restore reads. Keys and values
// must be encoded alike in both.
func ReuseSource[K, V any](g *Graph, op Op, spec statestore.Spec, topic TopicRef, s Serdes[K, V]) {
	u := g.storeByRef[spec.StoreName()]
	if u == nil || u.spec != spec {
		return // the fault is recorded
	}
	if !spec.Changelog().Enabled {
		g.Fault(op, "store %q is without a changelog: its topic cannot be one", spec.StoreName())
	}
	u.source = &topic
	u.accepts = func(key, value []byte, timestamp int64) bool {
		d := newDecoder(s)
		err := d.decode(&RawRecord{Key: key, Value: value}, timestamp)
		return err == nil && !d.rec.KeyNull && timestamp >= 0
	}
}
