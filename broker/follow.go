package broker

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/api"
)

// sequel does what follows the answers of one connection, one answer after another: when the answer is written or given up, or after followPatience beside its
// writing. A client that does not read its answers holds nothing up that others wait for.
//
// Its timer is not stopped with each answer: setting one wakes a thread that sleeps until the next timer, which costs more than the answer. It runs on, and when
// it fires it looks whether what is due by now was done.
//
// The zero value is ready.
type sequel struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	next  api.Followed // what follows the answer that is being written; nil: nothing, or it was begun
	since time.Time    // when its writing began
	armed bool         // the timer runs
}

// begin says that an answer is about to be written. done is to be called behind it.
func (s *sequel) begin(f api.Followed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.since = f, time.Now()
	if !s.armed {
		s.armed = true
		time.AfterFunc(followPatience, s.late)
	}
}

// done does what follows the answer, unless it was begun for the answer took long.
func (s *sequel) done() {
	s.mu.Lock()
	f := s.next
	s.next = nil
	s.mu.Unlock()
	if f != nil {
		f.After()
	}
}

// late is called by the timer, on a goroutine of its own.
func (s *sequel) late() {
	s.mu.Lock()
	f := s.next
	left := followPatience - time.Since(s.since)
	switch {
	case f == nil:
		s.armed = false
	case left > 0: // an answer that began after the timer did
		time.AfterFunc(left, s.late)
		f = nil
	default:
		s.next, s.armed = nil, false
	}
	s.mu.Unlock()
	if f != nil {
		f.After()
	}
}
