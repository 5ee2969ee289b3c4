package ktable

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// forwarder hands on the changes of a table that has a store, for one task. Where the store holds changes back until the commit, it does so then.
type forwarder[K, V any] struct {
	out     rows[K, V]
	next    rowSink[K, V]
	withOld bool
	held    bool             // the store forwards
	noter   statestore.Noter // the store that forwards; nil when nothing is forwarded
}

// keyValueForwarder connects a store's changes with the operators below.
func keyValueForwarder[K, V any](w *topology.Wiring, n *topology.Node, s statestore.KeyValueStore[K, V], old *oldValues, next rowSink[K, V]) *forwarder[K, V] {
	f := &forwarder[K, V]{next: next, withOld: old.asked, noter: s}
	at, id := w.At(n)
	f.held = s.OnFlush(f.withOld, func(u *statestore.Update[K, V]) error {
		*at = id
		f.out = rows[K, V]{Key: u.Key, Timestamp: u.Timestamp, Headers: s.NotedHeaders(),
			Value: topology.Change[V]{New: u.New, HasNew: u.HasNew, Old: u.Old, HasOld: u.HasOld}}
		return f.next(&f.out)
	})
	return f
}

// windowForwarder is keyValueForwarder for windows, whose ends are found by their starts.
func windowForwarder[K, V any](w *topology.Wiring, n *topology.Node, s statestore.WindowStore[K, V],
	end func(start int64) int64, old *oldValues, next rowSink[stream.Windowed[K], V]) *forwarder[stream.Windowed[K], V] {
	f := &forwarder[stream.Windowed[K], V]{next: next, withOld: old.asked, noter: s}
	at, id := w.At(n)
	f.held = s.OnFlush(f.withOld, func(u *statestore.Update[statestore.WindowKey[K], V]) error {
		*at = id
		f.out = rows[stream.Windowed[K], V]{Key: stream.Windowed[K]{Key: u.Key.Key, Start: u.Key.Start, End: end(u.Key.Start)}, Timestamp: u.Timestamp, Headers: s.NotedHeaders(),
			Value: topology.Change[V]{New: u.New, HasNew: u.HasNew, Old: u.Old, HasOld: u.HasOld}}
		return f.next(&f.out)
	})
	return f
}

// forward hands the change that was just made on at once, unless the store will. Old values go along only when they were asked for.
func (f *forwarder[K, V]) forward(key K, c topology.Change[V], timestamp int64, headers []topology.Header) error {
	if f.held {
		if f.noter == nil {
			return nil
		}
		f.noter.NoteHeaders(headers)
		return f.noter.Spill()
	}
	return f.now(key, c, timestamp, headers)
}

// unkept hands on at once a change that the store did not take because it is too old to be kept: it will not hand it on.
func (f *forwarder[K, V]) unkept(key K, c topology.Change[V], timestamp int64, headers []topology.Header) error {
	if f.held && f.noter == nil || f.ignores(c) {
		return nil
	}
	return f.now(key, c, timestamp, headers)
}

// ignores tells whether a change that the store did not take is none: where changes are held back, no result after none is not one.
func (f *forwarder[K, V]) ignores(c topology.Change[V]) bool {
	return f.held && f.noter != nil && !c.HasNew
}

func (f *forwarder[K, V]) now(key K, c topology.Change[V], timestamp int64, headers []topology.Header) error {
	if !f.withOld {
		var none V
		c.Old, c.HasOld = none, false
	}
	f.out.Key, f.out.Value, f.out.Timestamp, f.out.Headers = key, c, timestamp, headers
	return f.next(&f.out)
}

// sessionForwarder is keyValueForwarder for sessions, whose results have the time of their ends.
func sessionForwarder[K, V any](w *topology.Wiring, n *topology.Node, s statestore.SessionStore[K, V],
	old *oldValues, next rowSink[stream.Windowed[K], V]) *forwarder[stream.Windowed[K], V] {
	f := &forwarder[stream.Windowed[K], V]{next: next, withOld: old.asked, noter: s}
	at, id := w.At(n)
	f.held = s.OnFlush(f.withOld, func(u *statestore.Update[statestore.SessionKey[K], V]) error {
		*at = id
		f.out = rows[stream.Windowed[K], V]{Key: stream.Windowed[K]{Key: u.Key.Key, Start: u.Key.Start, End: u.Key.End}, Timestamp: u.Key.End, Headers: s.NotedHeaders(),
			Value: topology.Change[V]{New: u.New, HasNew: u.HasNew, Old: u.Old, HasOld: u.HasOld}}
		return f.next(&f.out)
	})
	return f
}
