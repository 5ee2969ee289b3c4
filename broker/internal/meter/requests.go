package meter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Meter counts the requests of a broker. Make one with New. It is safe for concurrent use.
type Meter struct {
	requests map[int16]*Requests // immutable; what it points to is not

	// FetchesWaiting, ProducesWaiting and RebalancesWaiting are the requests that wait for something to happen.
	FetchesWaiting, ProducesWaiting, RebalancesWaiting atomic.Int64

	// Panics are the handlers that met a bug.
	Panics atomic.Int64
	// Refused are the connections that were not accepted for want of room, Dropped those that were closed for what their client did.
	Refused, Dropped atomic.Int64
}

// New returns a meter for requests of these keys.
func New(keys []int16) *Meter {
	m := &Meter{requests: make(map[int16]*Requests, len(keys))}
	for _, k := range keys {
		m.requests[k] = new(Requests)
	}
	return m
}

// Requests are all requests of one key.
type Requests struct {
	// Total is the time from the request's last byte to its answer's. Wait is the part in which it waited for something to happen, Local the rest of
	// handling it, Send the writing of the answer.
	Total, Wait, Local, Send Timing

	mu sync.Mutex
	// The fields below are guarded by mu.
	versions []uint64         // requests by version
	errors   map[int16]uint64 // answers by error code, without those that say that all is well
}

// Of returns the counts of a key; nil when the meter does not know it. A nil *Requests can be counted on, to no effect.
func (m *Meter) Of(key int16) *Requests {
	if m == nil {
		return nil
	}
	return m.requests[key]
}

// Keys returns the keys that the meter knows, in order.
func (m *Meter) Keys() []int16 {
	keys := make([]int16, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Spent says where the time of a request went.
type Spent struct{ Total, Wait, Send time.Duration }

// Done counts a request that was answered now.
func (r *Requests) Done(now time.Time, version int16, s Spent) {
	if r == nil {
		return
	}
	r.Total.Observe(now, s.Total)
	r.Wait.Observe(now, s.Wait)
	r.Local.Observe(now, max(s.Total-s.Wait-s.Send, 0))
	r.Send.Observe(now, s.Send)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.versions) <= int(version) {
		r.versions = append(r.versions, 0)
	}
	r.versions[version]++
}

// Error counts an error code of an answer; 0 is none.
func (r *Requests) Error(code int16) {
	if r == nil || code == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errors == nil {
		r.errors = map[int16]uint64{}
	}
	r.errors[code]++
}

// Counts returns the requests by version and the errors by code.
func (r *Requests) Counts() (versions []uint64, errors map[int16]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	errors = make(map[int16]uint64, len(r.errors))
	for code, n := range r.errors {
		errors[code] = n
	}
	return slices.Clone(r.versions), errors
}
