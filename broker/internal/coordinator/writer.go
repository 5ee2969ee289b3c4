package coordinator

import (
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// Writer takes what one step of a machine wants to have written, and what is to happen when it is. It is valid during the
// step only.
type Writer struct {
	f        *flight
	now      time.Time
	maxBytes int
}

// Append adds records outside of any transaction. They are encoded at once; the caller may use their memory again.
func (w *Writer) Append(records ...entry.Record) {
	for i := range records {
		w.f.batches.add(entry.NoProducer(), w.now, w.maxBytes, &records[i])
	}
}

// AppendTxn adds records of p's transaction.
func (w *Writer) AppendTxn(p entry.Producer, records ...entry.Record) {
	for i := range records {
		w.f.batches.add(p, w.now, w.maxBytes, &records[i])
	}
}

// Marker adds the end of a transaction.
func (w *Writer) Marker(m entry.Marker) { w.f.batches.marker(m, w.now) }

// After has fn called when everything written up to now, by this step and by those before it, is committed. It is never
// called when the log refused. Functions run in the order of their After, without the shard's lock, and must not block.
//
// Between steps that wrote nothing and met an idle log there is no order.
func (w *Writer) After(fn func()) { w.f.after = append(w.f.after, fn) }

// flight is what goes to the log in one append: the writes of one or more steps.
type flight struct {
	batches *batches
	steps   int // that wait for this flight besides the one who appends it
	after   []func()
	settled bool
	done    chan struct{} // closed when the append is settled and after has run
	err     error         // read after done
}

func newFlight(b *batches) *flight { return &flight{batches: b, done: make(chan struct{})} }

// settle tells everybody how the append went. Only the first call counts.
func (f *flight) settle(err error) {
	if f.settled {
		return
	}
	f.settled = true
	f.err = err
	defer close(f.done)
	if err == nil {
		for _, fn := range f.after {
			fn()
		}
	}
}
