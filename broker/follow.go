package broker

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/api"
)

// follower does what follows the answers of one connection, one answer after another: when the answer is written or given up, or after followPatience beside its
// writing. A client that does not read its answers holds nothing up that others wait for.
//
// Its timer is not stopped with each answer: setting one wakes a thread that sleeps until the next timer, which costs more than the answer. It runs on, and when
// it fires it looks whether what is due by now was done.
//
// The zero value is ready.
type follower struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	next  api.Followed // what follows the answer that is being written; nil: nothing, or it was begun
	since time.Time    // when its writing began
	armed bool         // the timer runs
}

// begin says that an answer is about to be written. done is to be called behind it.
func (w *follower) begin(f api.Followed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.since = f, time.Now()
	if !w.armed {
		w.armed = true
		time.AfterFunc(followPatience, w.late)
	}
}

// done does what follows the answer, unless it was begun for the answer took long.
func (w *follower) done() {
	w.mu.Lock()
	f := w.next
	w.next = nil
	w.mu.Unlock()
	if f != nil {
		f.After()
	}
}

// late is called by the timer, on a goroutine of its own.
func (w *follower) late() {
	w.mu.Lock()
	f := w.next
	left := followPatience - time.Since(w.since)
	switch {
	case f == nil:
		w.armed = false
	case left > 0: // an answer that began after the timer did
		time.AfterFunc(left, w.late)
		f = nil
	default:
		w.next, w.armed = nil, false
	}
	w.mu.Unlock()
	if f != nil {
		f.After()
	}
}
