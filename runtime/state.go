package runtime

import (
	"fmt"
	"sync"
)

// State is where an App is in its life.
//
//	Created ──▶ Rebalancing ◀──▶ Running
//	                 │              │
//	                 ├──────────────┴──▶ PendingShutdown ──▶ NotRunning
//	                 └─────────────────▶ Failed
type State int8

const (
	Created         State = iota // Run was not called
	Rebalancing                  // connecting, waiting for tasks or restoring state
	Running                      // all tasks of this instance, if any, are processing
	PendingShutdown              // the context has ended: last commit, leaving the group
	NotRunning                   // Run has returned nil
	Failed                       // Run has returned an error, or is about to
)

func (s State) String() string {
	switch s {
	case Created:
		return "CREATED"
	case Rebalancing:
		return "REBALANCING"
	case Running:
		return "RUNNING"
	case PendingShutdown:
		return "PENDING_SHUTDOWN"
	case NotRunning:
		return "NOT_RUNNING"
	case Failed:
		return "ERROR"
	}
	return fmt.Sprintf("State(%d)", int8(s))
}

// allowed is the diagram above.
var allowed = map[State][]State{
	Created:         {Rebalancing, PendingShutdown, Failed},
	Rebalancing:     {Running, PendingShutdown, Failed},
	Running:         {Rebalancing, PendingShutdown, Failed},
	PendingShutdown: {NotRunning, Failed},
}

// machine holds the state and tells the listener, in order and without a lock held over its call.
type machine struct {
	listener func(from, to State)

	mu      sync.Mutex
	state   State      // guarded by mu
	queue   [][2]State // changes not yet told; guarded by mu
	telling bool       // a goroutine is at it; guarded by mu
	done    sync.WaitGroup
}

func (m *machine) get() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// set moves to a state if the diagram has an arrow there, and reports whether it did.
func (m *machine) set(to State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range allowed[m.state] {
		if s == to {
			if m.listener != nil {
				m.queue = append(m.queue, [2]State{m.state, to})
				if !m.telling {
					m.telling = true
					m.done.Go(m.tell)
				}
			}
			m.state = to
			return true
		}
	}
	return false
}

func (m *machine) tell() {
	for {
		m.mu.Lock()
		if len(m.queue) == 0 {
			m.telling = false
			m.mu.Unlock()
			return
		}
		change := m.queue[0]
		m.queue = m.queue[1:]
		m.mu.Unlock()
		m.listener(change[0], change[1])
	}
}

// wait returns when the listener has heard everything.
func (m *machine) wait() { m.done.Wait() }
