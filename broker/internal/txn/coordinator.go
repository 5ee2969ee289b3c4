package txn

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// Config is immutable after New.
type Config struct {
	// MaxTimeout bounds what a producer may ask for; 0 is DefaultMaxTimeout.
	MaxTimeout time.Duration
	// IDExpiration is how long an id without an open transaction is kept after its last change; 0 is
	// DefaultIDExpiration, negative is for ever.
	IDExpiration time.Duration
	// AbortInterval and ExpireInterval are the times between two looks for transactions that took too long, and for ids that nobody uses; 0 is none:
	// each goes when its time is up.
	AbortInterval, ExpireInterval time.Duration
	// NewProducerID gives an id that was never given before. Its error is answered to the client.
	NewProducerID func() (ProducerID, error)
}

const (
	DefaultMaxTimeout   = 15 * time.Minute   // transaction.max.timeout.ms
	DefaultIDExpiration = 7 * 24 * time.Hour // transactional.id.expiration.ms

	// maxPerTick bounds the changes of one Tick, so that a step stays short; what is left is due at once.
	maxPerTick = 500

	// idRetry is the pause after a time-out that could not be served for want of a producer id.
	idRetry = time.Second
)

// Coordinator is the state of one partition of __transaction_state. It is not safe for concurrent use; the Transactions it
// hands out are immutable and may be kept.
type Coordinator struct {
	cfg  Config
	ids  map[string]*member
	due  agenda
	bad  error // the first record that could not be read
	skip int   // records of unknown kinds or versions
}

// member is an id with what is not in its record.
type member struct {
	*Transaction
	owed []TopicPartition // in Prepare*: without a marker yet, sorted; never shared
	when time.Time        // when due looks at it; may be early
	slot int              // index in due
}

// New returns the coordinator of an empty log.
func New(cfg Config) *Coordinator {
	if cfg.MaxTimeout == 0 {
		cfg.MaxTimeout = DefaultMaxTimeout
	}
	if cfg.IDExpiration == 0 {
		cfg.IDExpiration = DefaultIDExpiration
	}
	return &Coordinator{cfg: cfg, ids: make(map[string]*member)}
}

// Step is what a request comes to. The caller writes Changes in one append, applies them in order before any other step,
// and gives Reply when they, and everything applied before, are committed.
type Step struct {
	Changes []Change
	Reply   Reply
	// Wait says that Reply (CONCURRENT_TRANSACTIONS) ends by itself once the markers of the id are written: the same
	// request can be made again then instead of sending the client into a back-off.
	Wait bool
}

// Reply is the answer to a request about one transactional id.
type Reply struct {
	Err      error    // a *kerr.Error, or nil
	Identity Identity // InitProducerID and EndTxn: the producer goes on with it; None with an error
}

func fail(err error) Step { return Step{Reply: Reply{Err: err, Identity: None}} }

// Apply takes one record of the log. Records of __transaction_state are never transactional themselves.
func (c *Coordinator) Apply(r entry.Record, _ entry.Producer) {
	change, known, err := decode(r)
	switch {
	case err != nil:
		if c.bad == nil {
			c.bad = err
		}
	case !known:
		c.skip++
	default:
		c.ApplyChange(change)
	}
}

// ApplyMarker is for machines whose log takes part in transactions; this one's never does.
func (c *Coordinator) ApplyMarker(entry.Marker) {}

// Loaded says that the replay is complete.
func (c *Coordinator) Loaded(time.Time) {}

// Unreadable is the number of records that a replay skipped because a newer program wrote them, and what was wrong with
// the first one that it could not read.
func (c *Coordinator) Unreadable() (newer int, err error) { return c.skip, c.bad }

// ApplyChange makes a change that is, or is about to be, in the log.
func (c *Coordinator) ApplyChange(ch Change) {
	m := c.ids[ch.ID]
	if ch.Next == nil {
		if m != nil {
			c.due.remove(m)
			delete(c.ids, ch.ID)
		}
		return
	}
	if m == nil {
		m = &member{slot: -1}
		c.ids[ch.ID] = m
	}
	m.Transaction = ch.Next
	m.owed = nil
	if m.State.preparing() {
		m.owed = slices.Clone(m.Partitions)
	}
	c.due.move(m, c.deadline(m.Transaction))
}

// Get returns what is known about an id.
func (c *Coordinator) Get(id string) (*Transaction, bool) {
	m, ok := c.ids[id]
	if !ok {
		return nil, false
	}
	return m.Transaction, true
}

// Len is the number of transactional ids.
func (c *Coordinator) Len() int { return len(c.ids) }

// All returns every id's state, in order of the ids.
func (c *Coordinator) All() []*Transaction {
	all := make([]*Transaction, 0, len(c.ids))
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		all = append(all, c.ids[id].Transaction)
	}
	return all
}
