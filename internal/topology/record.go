package topology

import "github.com/millrace-io/millrace/statestore"

// Header is one record header.
type Header = statestore.Header

// Record is one record on an edge between two operators. The receiver must not change it, nor keep the pointer after it returns; Key and Value may be kept.
type Record[K, V any] struct {
	Key       K
	Value     V
	KeyNull   bool  // the key is null; Key is then the zero value
	ValueNull bool  // the value is null; Value is then the zero value
	Timestamp int64 // event time, ms since 1970
	Headers   []Header
}

// WithHeader is the record with one header more; the headers of r stay as they are.
func (r Record[K, V]) WithHeader(key string, value []byte) Record[K, V] {
	r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], Header{Key: key, Value: value})
	return r
}

// Change is the value on an edge of a table: what a key had and what it has now.
type Change[V any] struct {
	New, Old       V
	HasNew, HasOld bool // false: null, that is no row
	// Late says that the row of a versioned table has not changed: the change is one of its past.
	Late bool
}

// Sink takes the results of an operator: the next operator's entry, or several of them behind one function. An error stops the task (or goes to its
// processing handler) and names the operator it came from.
type Sink[K, V any] func(*Record[K, V]) error

// RawRecord is a record as it lies in a topic. Who passes one keeps the ownership of its slices: they are valid during the call.
type RawRecord struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Timestamp   int64  // ms since 1970; -1 is none
	Key, Value  []byte // nil is null
	Headers     []Header
}
