package txn

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// seeds is the number of histories per run; each has simSteps steps. A failure names its seed: run it alone with
// -run 'TestSimulation/seed=N$'.
var seeds = flag.Uint64("seeds", 150, "histories of TestSimulation")

const simSteps = 400

// TestSimulation lets producers of protocol 2 work over a network that loses answers and
// delivers requests twice, late and out of order, past any number of later transactions, while instances take each other's
// ids over, transactions time out, markers are written in pieces and the coordinator crashes. It holds:
//
//	T4  once a successor is initialised, no request of its predecessor changes anything
//	T5  a request changes only the transaction that it was sent for
//	T6  a decision is never taken back, all of its partitions get its marker, and only its
//	    committed ones a commit
//	T8  no identity is given to two producers, no producer id twice
func TestSimulation(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			newSim(t, seed).run()
		})
	}
}

type sim struct {
	*world
	rnd     *rand.Rand
	clients map[string]*simClient // the latest instance by id
	network []simRequest          // sent, may be delivered at any time, and again

	asked    map[simName]bool // the end that the producer of this transaction asked for: commit
	decided  map[simName]bool // the end that was decided
	holders  map[Identity]*simClient
	unmarked map[simName]map[TopicPartition]bool
	acks     []Markers // written partitions that the coordinator was, or will be, told of
	ended    int
	commits  int
	fenced   int
}

// simName names a transaction of protocol 2 for ever.
type simName struct {
	id string
	Identity
}

type simClient struct {
	id      string
	who     Identity
	open    bool // has asked for partitions since the last end
	dead    bool
	pending *simRequest // without an answer yet
}

type simRequest struct {
	from *simClient
	who  Identity
	kind string // init, add, end
	tps  []TopicPartition
	end  bool
}

func newSim(t *testing.T, seed uint64) *sim {
	return &sim{
		world:    newWorld(t, Config{MaxTimeout: time.Minute, IDExpiration: time.Hour}),
		rnd:      rand.New(rand.NewPCG(seed, 0)),
		clients:  make(map[string]*simClient),
		asked:    make(map[simName]bool),
		decided:  make(map[simName]bool),
		holders:  make(map[Identity]*simClient),
		unmarked: make(map[simName]map[TopicPartition]bool),
	}
}

func (s *sim) run() {
	for range simSteps {
		switch p := s.rnd.IntN(100); {
		case p < 50:
			s.clientStep(fmt.Sprintf("id%d", s.rnd.IntN(3)))
		case p < 75:
			s.deliverOld()
		case p < 88:
			s.markerStep()
		case p < 92:
			s.now = s.now.Add(time.Duration(s.rnd.IntN(12)) * time.Second)
			s.observe(nil, func() Reply { return s.take(s.c.Tick(s.now)) })
		case p < 95:
			s.crash()
		case p < 97:
			s.jump()
		default:
			delete(s.clients, fmt.Sprintf("id%d", s.rnd.IntN(3))) // its successor comes with the next step
		}
	}
	for len(s.c.Debts()) > 0 {
		s.markerStep()
	}
	for name, left := range s.unmarked {
		if len(left) > 0 {
			s.t.Fatalf("transaction %v: partitions without a marker: %v", name, left)
		}
	}
	if s.commits == 0 || s.fenced == 0 {
		s.t.Logf("a dull history: %d ends, %d commits, %d fenced", s.ended, s.commits, s.fenced)
	}
}

// jump brings an idle id near the end of its epochs, as 32,000 transactions would.
func (s *sim) jump() {
	id := fmt.Sprintf("id%d", s.rnd.IntN(3))
	t, ok := s.c.Get(id)
	if !ok || !t.State.idle() || t.Epoch > lastEpoch-3 {
		return
	}
	next := *t
	next.Epoch, next.Last = lastEpoch-2, NoEpoch
	ch := Change{id, &next}
	s.log = append(s.log, ch.Record())
	s.c.ApplyChange(ch)
	delete(s.clients, id) // its producer never heard of the epochs between
}

// clientStep lets a producer do its next thing, or repeat what it has no answer to.
func (s *sim) clientStep(id string) {
	c := s.clients[id]
	if c == nil || c.dead {
		c = &simClient{id: id, who: None}
		s.clients[id] = c
	}
	if c.pending == nil {
		c.pending = s.next(c)
		s.network = append(s.network, *c.pending)
	}
	r := *c.pending
	reply := s.deliver(r)
	if s.rnd.IntN(4) == 0 {
		return // the answer is lost
	}
	c.pending = nil
	c.learn(r, reply)
	if reply.Err == nil && r.kind == "init" {
		if other := s.holders[c.who]; other != nil && other != c {
			s.t.Fatalf("%s: identity %v given to two instances", id, c.who)
		}
		s.holders[c.who] = c
	}
	if reply.Err == kerr.ProducerFenced {
		s.fenced++
	}
}

func (s *sim) next(c *simClient) *simRequest {
	r := &simRequest{from: c, who: c.who}
	switch p := s.rnd.IntN(10); {
	case c.who == None:
		r.kind = "init"
	case !c.open && p == 0:
		r.kind = "init" // asks for a new epoch
	case !c.open && p > 1, p < 5:
		r.kind = "add"
		for range 1 + s.rnd.IntN(3) {
			r.tps = append(r.tps, TopicPartition{"t", int32(s.rnd.IntN(4))})
		}
		c.open = true
	default:
		r.kind, r.end = "end", c.open && s.rnd.IntN(3) > 0
		s.asked[simName{c.id, c.who}] = r.end
	}
	return r
}

// learn is what the answer means to the producer.
func (c *simClient) learn(r simRequest, reply Reply) {
	switch {
	case reply.Err == kerr.ConcurrentTransactions:
		c.pending = &r
	case reply.Err != nil:
		c.dead = true
	case r.kind == "init", r.kind == "end":
		c.who = reply.Identity
		c.open = false
	}
}

// deliverOld delivers any request that was ever sent, once more.
func (s *sim) deliverOld() {
	if len(s.network) > 0 {
		s.deliver(s.network[s.rnd.IntN(len(s.network))])
	}
}

func (s *sim) deliver(r simRequest) Reply {
	id := r.from.id
	return s.observe(&r, func() Reply {
		switch r.kind {
		case "init":
			if r.who == None && s.clients[id] != r.from {
				return Reply{Err: kerr.ProducerFenced} // a late Init of a dead instance would only fence the next one
			}
			return s.take(s.c.InitProducerID(s.now, InitRequest{ID: id, Timeout: 30 * time.Second, Expected: r.who}))
		case "add":
			return s.take(s.c.AddPartitions(s.now, AddRequest{ID: id, Identity: r.who, Partitions: r.tps, Protocol: V2}))
		}
		return s.take(s.c.EndTxn(s.now, EndRequest{ID: id, Identity: r.who, Commit: r.end, Protocol: V2}))
	})
}

// observe compares the states around a step with what the step's request allows. No request: a tick.
func (s *sim) observe(r *simRequest, step func() Reply) Reply {
	before := make(map[string]*Transaction)
	for _, t := range s.c.All() {
		before[t.ID] = t
	}
	reply := step()
	for _, after := range s.c.All() {
		old := before[after.ID]
		if old == after || old == nil {
			continue
		}
		if r != nil && r.from.id != after.ID {
			s.t.Fatalf("a request of %s changes %s", r.from.id, after.ID)
		}
		if r != nil && r.who != None && r.who != old.Identity && !(r.kind == "init" && old.State.idle() && old.repeats(r.who)) {
			s.t.Fatalf("%s: %s of %v changes %s to %s", after.ID, r.kind, r.who, show(old), show(after))
		}
		if after.State.preparing() || old.State == Ongoing && after.State != Ongoing {
			s.decision(r, old, after)
		}
	}
	return reply
}

// decision checks the end of the transaction that old had open.
func (s *sim) decision(r *simRequest, old, after *Transaction) {
	if old.State != Ongoing {
		return // an empty abort
	}
	name := simName{after.ID, old.Identity}
	if _, twice := s.decided[name]; twice {
		s.t.Fatalf("%v is decided twice", name)
	}
	commit := after.State == PrepareCommit
	if commit && (r == nil || r.kind != "end" || !s.asked[name]) {
		s.t.Fatalf("%v is committed, its producer asked for: %v", name, s.asked[name])
	}
	if after.Epoch != old.Epoch+1 {
		s.t.Fatalf("%v ends under epoch %d", name, after.Epoch)
	}
	s.decided[name] = commit
	s.ended++
	if commit {
		s.commits++
	}
	s.unmarked[name] = make(map[TopicPartition]bool)
	for _, tp := range old.Partitions {
		s.unmarked[name][tp] = true
	}
}

// markerStep writes some of the markers of one debt.
func (s *sim) markerStep() {
	debts := s.c.Debts()
	if len(debts) == 0 {
		return
	}
	d := debts[s.rnd.IntN(len(debts))]
	name := simName{d.TransactionalID, Identity{d.ProducerID, d.Epoch - 1}}
	commit, known := s.decided[name]
	if !known || commit != d.Commit {
		s.t.Fatalf("%s, but %v was decided as commit=%v", showMarkers(d), name, commit)
	}
	n := 1 + s.rnd.IntN(len(d.Partitions))
	s.rnd.Shuffle(len(d.Partitions), func(i, j int) {
		d.Partitions[i], d.Partitions[j] = d.Partitions[j], d.Partitions[i]
	})
	for _, tp := range d.Partitions[:n] {
		delete(s.unmarked[name], tp)
	}
	d.Partitions = d.Partitions[:n]
	s.acks = append(s.acks, d)
	if s.rnd.IntN(4) == 0 {
		d = s.acks[s.rnd.IntN(len(s.acks))] // another acknowledgement overtakes this one, or comes again
		if t, ok := s.c.Get(d.TransactionalID); !ok || t.Identity != d.Identity {
			if step := s.c.MarkersWritten(s.now, d.TransactionalID, d.Identity, d.Partitions); len(step.Changes) > 0 {
				s.t.Fatalf("a late acknowledgement of %s changes %s", showMarkers(d), show(t))
			}
			return
		}
		name = simName{d.TransactionalID, Identity{d.ProducerID, d.Epoch - 1}}
	}
	step := s.c.MarkersWritten(s.now, d.TransactionalID, d.Identity, d.Partitions)
	if len(step.Changes) > 0 && len(s.unmarked[name]) > 0 {
		s.t.Fatalf("%v is complete without markers for %v", name, s.unmarked[name])
	}
	s.take(step)
}
