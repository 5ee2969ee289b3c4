package ktable

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// closing knows which windows of an aggregation that emits on close have not been emitted, for one task: a heap of them by their ends. It is made again from the
// store when the task begins. Results are given before a record moves the store's time, so that no jump hides a window that is still owed.
//
// A window may be in the heap more than once, when its aggregate was null for a while, or no more be in the store; both are found out when its turn comes.
type closing[K, A any] struct {
	open      []openWindow[K] // a heap
	due       []openWindow[K] // scratch: windows of one end
	emitted   *int64          // the close time of the last emission; kept with the committed offsets
	inclusive int64           // 1 for windows that take records at their end, so that they are still open when that is the close time
	keysFirst bool            // windows of one end come by their keys, as from Kafka Streams' session stores in memory
	interval  int64           // of the wall clock, ms
	next      int64           // wall clock of the next look
	now       func() int64
	keys      serde.Serde[K]
	out       rows[stream.Windowed[K], A]
	to        rowSink[stream.Windowed[K], A]
	given     int64 // results, for who wants to know whether there were any
	loaded    bool

	load   func() error                                   // adds what the store has
	fetch  func(w *openWindow[K]) (A, int64, bool, error) // the result of a window
	hidden func(w *openWindow[K], observed int64) bool    // the store will not show the window once its time is observed
}

type openWindow[K any] struct {
	start, end int64
	key        K
	encoded    []byte // while it is due
}

// closingRetention is for how much longer a store keeps what is emitted on close than its windows last.
const closingRetention = time.Millisecond

// emittedSuffix makes the name of the emitted time of a store: no store has it in its name.
const emittedSuffix = "/emitted"

func newClosing[K, A any](w *topology.Wiring, store string, keys serde.Serde[K], emit stream.Emission, next rowSink[stream.Windowed[K], A]) *closing[K, A] {
	c := &closing[K, A]{emitted: w.Observed(store + emittedSuffix), interval: emit.Interval.Milliseconds(), now: w.Env().Now, keys: keys, to: next}
	c.next = c.now() + c.interval
	return c
}

// look reports whether it is time to look for closed windows: the interval has passed, or the store would forget one.
func (c *closing[K, A]) look(observed int64) bool {
	if c.interval == 0 {
		return true
	}
	now := c.now()
	if now < c.next {
		return len(c.open) > 0 && c.hidden(&c.open[0], observed)
	}
	c.next = now + c.interval
	return true
}

// add notes a window that is owed.
func (c *closing[K, A]) add(key K, start, end int64) {
	c.open = append(c.open, openWindow[K]{start: start, end: end, key: key})
	h := c.open
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if h[p].end <= h[i].end {
			return
		}
		h[p], h[i] = h[i], h[p]
		i = p
	}
}

// pop removes the window that ends first.
func (c *closing[K, A]) pop() openWindow[K] {
	h := c.open
	w, n := h[0], len(h)-1
	h[0], h[n] = h[n], openWindow[K]{}
	h = h[:n]
	c.open = h
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if h[child].end < h[least].end {
				least = child
			}
		}
		if least == i {
			return w
		}
		h[least], h[i] = h[i], h[least]
		i = least
	}
}

// take removes the windows of the first end that is at most last, in the order of their starts, then of their encoded keys, or the other way round, each once. They are valid until the next call.
func (c *closing[K, A]) take(last int64) ([]openWindow[K], error) {
	clear(c.due)
	c.due = c.due[:0]
	for len(c.open) > 0 && c.open[0].end <= last && (len(c.due) == 0 || c.open[0].end == c.due[0].end) {
		w := c.pop()
		var err error
		if w.encoded, err = c.keys.Append(nil, w.key); err != nil {
			return nil, err
		}
		c.due = append(c.due, w)
	}
	slices.SortFunc(c.due, func(a, b openWindow[K]) int {
		byStart, byKey := cmp.Compare(a.start, b.start), bytes.Compare(a.encoded, b.encoded)
		if c.keysFirst {
			return cmp.Or(byKey, byStart)
		}
		return cmp.Or(byStart, byKey)
	})
	c.due = slices.CompactFunc(c.due, func(a, b openWindow[K]) bool { return a.start == b.start && bytes.Equal(a.encoded, b.encoded) })
	return c.due, nil
}

// emit gives the results of all windows that are closed now.
func (c *closing[K, A]) emit(closed, observed int64, headers []topology.Header) error {
	if !c.loaded {
		if err := c.load(); err != nil {
			return err
		}
		c.loaded = true
	}
	if !c.look(observed) || closed <= 0 || closed <= *c.emitted {
		return nil
	}
	for {
		due, err := c.take(closed - c.inclusive)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			*c.emitted = closed
			return nil
		}
		for i := range due {
			if err := c.give(&due[i], headers); err != nil {
				return err
			}
		}
	}
}

// pass gives, in a silence, the results of all windows that are closed at the time that was reached. c may be nil.
func (c *closing[K, A]) pass(closed, observed int64) (some bool, err error) {
	if c == nil {
		return false, nil
	}
	was := c.given
	err = c.emit(closed, observed, nil)
	return c.given > was, err
}

// give forwards the result of one window, unless it has none.
func (c *closing[K, A]) give(w *openWindow[K], headers []topology.Header) error {
	v, at, found, err := c.fetch(w)
	if err != nil || !found {
		return err
	}
	c.out = rows[stream.Windowed[K], A]{Key: stream.Windowed[K]{Key: w.key, Start: w.start, End: w.end}, Timestamp: at, Headers: headers,
		Value: topology.Change[A]{New: v, HasNew: true}}
	c.given++
	return c.to(&c.out)
}

// closingWindows is the closing of an aggregation by windows. inclusive says that a window takes records at its end.
func closingWindows[K, A any](w *topology.Wiring, store *statestore.WindowSpec[K, A], emit stream.Emission, inclusive bool,
	end func(start int64) int64, next rowSink[stream.Windowed[K], A]) *closing[K, A] {
	s := w.Store(store.StoreName()).(statestore.WindowStore[K, A])
	c := newClosing(w, store.StoreName(), store.KeySerde(), emit, next)
	if inclusive {
		c.inclusive = 1
	}
	retention := store.Retention().Milliseconds()
	c.hidden = func(w *openWindow[K], observed int64) bool { return w.start <= observed-retention }
	c.fetch = func(w *openWindow[K]) (A, int64, bool, error) { return s.FetchWithTime(w.key, w.start) }
	c.load = func() error {
		for e, err := range s.All() {
			if err != nil {
				return err
			}
			if end := end(e.Start); end > *c.emitted-c.inclusive {
				c.add(e.Key, e.Start, end)
			}
		}
		return nil
	}
	return c
}

// closingSessions is the closing of an aggregation by sessions. The time of a result is the session's end.
func closingSessions[K, A any](w *topology.Wiring, store *statestore.SessionSpec[K, A], emit stream.Emission, next rowSink[stream.Windowed[K], A]) *closing[K, A] {
	s := w.Store(store.StoreName()).(statestore.SessionStore[K, A])
	c := newClosing(w, store.StoreName(), store.KeySerde(), emit, next)
	c.inclusive, c.keysFirst = 1, store.IsInMemory()
	retention := (store.Retention() + closingRetention).Milliseconds()
	c.hidden = func(w *openWindow[K], observed int64) bool { return w.end <= observed-retention }
	c.fetch = func(w *openWindow[K]) (A, int64, bool, error) {
		v, found, err := s.FetchSession(w.key, w.start, w.end)
		return v, w.end, found, err
	}
	c.load = func() error {
		for e, err := range s.All() {
			if err != nil {
				return err
			}
			if e.End > *c.emitted-c.inclusive {
				c.add(e.Key, e.Start, e.End)
			}
		}
		return nil
	}
	return c
}
