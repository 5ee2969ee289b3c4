package api

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// A fetch session remembers what a client fetches, so that its requests name only changes and its answers only news (KIP-227):
//
//	request id, epoch    meaning
//	0, -1                no session: everything is named, nothing is remembered
//	0, 0                 open a session
//	id, 0                close that session and open another
//	id, -1               close that session
//	id, n                go on; n is the last epoch plus one
const (
	sessionlessEpoch = -1
	initialEpoch     = 0
)

// sessionIdle is how long a session must have been idle before another client's session may take its place in a full cache.
const sessionIdle = 2 * time.Minute

// maxSessionPartitions bounds what one session remembers; a request for more goes without a session.
const maxSessionPartitions = 100_000

// sessionShards is the number of parts that the cache consists of, each with its own lock and its share of the slots. As in Kafka, a cache of fewer
// slots than parts holds nothing.
const sessionShards = 8

// FetchSessions is the broker's cache of fetch sessions. It is safe for concurrent use.
type FetchSessions struct {
	slots  func() int
	shards [sessionShards]sessionShard
}

type sessionShard struct {
	mu       sync.Mutex
	sessions map[int32]*fetchSession // guarded by mu
}

// NewFetchSessions returns an empty cache with as many slots as the function says.
func NewFetchSessions(slots func() int) *FetchSessions {
	s := &FetchSessions{slots: slots}
	for i := range s.shards {
		s.shards[i].sessions = map[int32]*fetchSession{}
	}
	return s
}

// Len is the number of sessions.
func (s *FetchSessions) Len() int {
	n := 0
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		n += len(shard.sessions)
		shard.mu.Unlock()
	}
	return n
}

// shard returns where a session is kept.
func (s *FetchSessions) shard(id int32) *sessionShard { return &s.shards[uint32(id)%sessionShards] }

// fetchSession is what one client fetches. Its fields but the last are used by the one request that holds it.
type fetchSession struct {
	mu    sync.Mutex // held by the request in process
	id    int32
	epoch int32
	byID  bool // topics are named by id, not by name
	parts []*fetchPart
	index map[fetchKey]*fetchPart

	used time.Time // guarded by the shard's mu
}

// fetchKey names a partition in a session.
type fetchKey struct {
	topic  string // empty in a session by ids
	id     controller.TopicID
	number int32
}

// fetchPart is one partition of a fetch, with what the client was last told of it.
type fetchPart struct {
	fetchKey
	offset       int64
	maxBytes     int32
	knownEpoch   int32 // leader epoch that the client knows, or -1
	fetchedEpoch int32 // epoch of the last record that it fetched, or -1
	found        bool  // the partition was there once: its topic id was a good one

	told      bool // the fields below were sent
	highWater int64
	logStart  int64
	stable    int64
}

// fetchPlan is what one request asks for.
type fetchPlan struct {
	session *fetchSession // nil without one
	full    bool          // the answer names every partition
	parts   []*fetchPart
}

// begin resolves a request's session. The plan must be given back with done.
func (s *FetchSessions) begin(req *kmsg.FetchRequest, now time.Time) (*fetchPlan, error) {
	if req.Version < 7 {
		return &fetchPlan{full: true, parts: newParts(req)}, nil
	}
	if req.SessionEpoch == sessionlessEpoch || req.SessionEpoch == initialEpoch {
		if req.SessionID != 0 {
			s.drop(req.SessionID)
		}
		plan := &fetchPlan{full: true, parts: newParts(req)}
		if req.SessionEpoch == initialEpoch {
			plan.session = s.open(req, plan.parts, now)
		}
		return plan, nil
	}
	return s.resume(req, now)
}

func (s *FetchSessions) resume(req *kmsg.FetchRequest, now time.Time) (*fetchPlan, error) {
	shard := s.shard(req.SessionID)
	shard.mu.Lock()
	session := shard.sessions[req.SessionID]
	if session != nil {
		session.used = now
	}
	shard.mu.Unlock()
	if session == nil {
		return nil, kerr.FetchSessionIDNotFound
	}
	session.mu.Lock()
	switch {
	case session.byID != (req.Version >= fetchTopicIDs):
		session.mu.Unlock()
		return nil, kerr.FetchSessionTopicIDError
	case session.epoch != req.SessionEpoch:
		session.mu.Unlock()
		return nil, kerr.InvalidFetchSessionEpoch
	}
	session.update(req)
	if len(session.parts) == 0 {
		s.drop(session.id)
		session.mu.Unlock()
		return &fetchPlan{full: true, parts: newParts(req)}, nil // what was named and forgotten at once is answered once
	}
	session.epoch = nextEpoch(session.epoch)
	return &fetchPlan{session: session, parts: session.parts}, nil
}

// nextEpoch counts up and goes on with 1 after the largest number.
func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// done gives a plan back. Partitions that were answered with records go to the end of the session, so that the others come first next time. The request
// that opened the session keeps its order for the next.
func (p *fetchPlan) done(served map[*fetchPart]bool) {
	if p.session == nil {
		return
	}
	if !p.full && len(served) > 0 && len(served) < len(p.session.parts) {
		var last []*fetchPart
		first := p.session.parts[:0]
		for _, part := range p.session.parts {
			if served[part] {
				last = append(last, part)
			} else {
				first = append(first, part)
			}
		}
		p.session.parts = append(first, last...)
	}
	p.session.mu.Unlock()
}

// open makes a session for the partitions of a request; nil when there is no room for one.
func (s *FetchSessions) open(req *kmsg.FetchRequest, parts []*fetchPart, now time.Time) *fetchSession {
	if len(parts) > maxSessionPartitions {
		return nil
	}
	session := &fetchSession{epoch: nextEpoch(initialEpoch), byID: req.Version >= fetchTopicIDs, used: now, parts: slices.Clone(parts), index: map[fetchKey]*fetchPart{}}
	for _, p := range parts {
		session.index[p.fetchKey] = p
	}
	return s.put(session, now)
}

// put gives a session an id and a slot, and the caller the session's lock; nil when every slot of its shard is taken.
func (s *FetchSessions) put(session *fetchSession, now time.Time) *fetchSession {
	id := 1 + rand.Int32N(math.MaxInt32)
	shard := s.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.sessions[id] != nil || len(shard.sessions) >= s.slots()/sessionShards && !shard.evict(now) {
		return nil
	}
	session.id = id
	shard.sessions[id] = session
	session.mu.Lock()
	return session
}

// evict removes the session that was idle longest, if that was long enough. mu is held.
func (s *sessionShard) evict(now time.Time) bool {
	var oldest *fetchSession
	for _, session := range s.sessions {
		if oldest == nil || session.used.Before(oldest.used) {
			oldest = session
		}
	}
	if oldest == nil || now.Sub(oldest.used) < sessionIdle {
		return false
	}
	delete(s.sessions, oldest.id)
	return true
}

func (s *FetchSessions) drop(id int32) {
	shard := s.shard(id)
	shard.mu.Lock()
	delete(shard.sessions, id)
	shard.mu.Unlock()
}

// newParts lists the partitions of a request; of one named twice the last naming counts.
func newParts(req *kmsg.FetchRequest) []*fetchPart {
	var parts []*fetchPart
	seen := map[fetchKey]int{}
	eachPartition(req, func(p *fetchPart) {
		if at, ok := seen[p.fetchKey]; ok {
			parts[at] = p
			return
		}
		seen[p.fetchKey] = len(parts)
		parts = append(parts, p)
	})
	return parts
}

func eachPartition(req *kmsg.FetchRequest, yield func(*fetchPart)) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			a := &t.Partitions[j]
			p := &fetchPart{offset: a.FetchOffset, maxBytes: a.PartitionMaxBytes, knownEpoch: a.CurrentLeaderEpoch, fetchedEpoch: a.LastFetchedEpoch}
			p.fetchKey = keyOf(req.Version, t.Topic, t.TopicID, a.Partition)
			if req.Version < 9 {
				p.knownEpoch = -1
			}
			if req.Version < 12 {
				p.fetchedEpoch = -1
			}
			yield(p)
		}
	}
}

func keyOf(version int16, topic string, id controller.TopicID, number int32) fetchKey {
	if version >= fetchTopicIDs {
		return fetchKey{id: id, number: number}
	}
	return fetchKey{topic: topic, number: number}
}

// update takes what a request changes.
func (s *fetchSession) update(req *kmsg.FetchRequest) {
	eachPartition(req, func(p *fetchPart) {
		if have := s.index[p.fetchKey]; have != nil {
			have.offset, have.maxBytes, have.knownEpoch, have.fetchedEpoch = p.offset, p.maxBytes, p.knownEpoch, p.fetchedEpoch
			return
		}
		if len(s.parts) < maxSessionPartitions {
			s.index[p.fetchKey] = p
			s.parts = append(s.parts, p)
		}
	})
	gone := false
	for _, t := range req.ForgottenTopics {
		for _, number := range t.Partitions {
			k := keyOf(req.Version, t.Topic, t.TopicID, number)
			if s.index[k] != nil {
				delete(s.index, k)
				gone = true
			}
		}
	}
	if gone {
		s.parts = slices.DeleteFunc(s.parts, func(p *fetchPart) bool { return s.index[p.fetchKey] != p })
	}
}
