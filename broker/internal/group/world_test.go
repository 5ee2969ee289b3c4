package group

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

// logged is one entry of the log behind a machine: a record, or a marker.
type logged struct {
	record   entry.Record
	producer entry.Producer
	marker   *entry.Marker
}

// world is a machine with the log that it writes and the requests that wait.
type world struct {
	cfg     Config
	m       *Machine
	now     time.Time
	log     []logged
	ids     int
	last    Token
	waiting map[Token]string // label of the request
	heard   []string         // labels and answers in order, since the last look
	answers map[Token]Answer
	topics  *fakeTopics
}

func newWorld(cfg Config) *world {
	w := &world{waiting: map[Token]string{}, answers: map[Token]Answer{}, now: time.UnixMilli(1_700_000_000_000)}
	w.topics = &fakeTopics{topics: map[string]TopicInfo{}}
	cfg.Topics = func() Metadata { return w.topics }
	cfg.NewID = func() string { w.ids++; return strconv.Itoa(w.ids) }
	w.cfg = cfg
	w.m = New(cfg)
	w.m.Loaded(w.now)
	return w
}

func (w *world) token(label string) Token {
	w.last++
	w.waiting[w.last] = label
	return w.last
}

// take writes a step's records and hears its answers, as the shell does. It breaks the machine's buffers afterwards, so
// that whoever kept a part of them is found out.
func (w *world) take(res Result, p entry.Producer) {
	for i, r := range res.Records {
		w.log = append(w.log, logged{record: entry.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}, producer: p})
		for j := range r.Key {
			r.Key[j] = 0xee
		}
		for j := range r.Value {
			r.Value[j] = 0xee
		}
		res.Records[i] = entry.Record{}
	}
	for _, a := range res.Answers {
		label, ok := w.waiting[a.Token]
		if !ok {
			panic(fmt.Sprintf("token %d is answered twice, or was never given", a.Token))
		}
		delete(w.waiting, a.Token)
		w.answers[a.Token] = a
		w.heard = append(w.heard, label+": "+describeAnswer(a))
	}
}

func (w *world) write(res Result) { w.take(res, entry.NoProducer()) }

func (w *world) join(label string, r *JoinRequest) Token {
	tok := w.token(label)
	w.write(w.m.Join(w.now, tok, r))
	for _, p := range r.Protocols { // the request's memory is the connection's
		for i := range p.Metadata {
			p.Metadata[i] = 0xee
		}
	}
	return tok
}

func (w *world) sync(label string, r *SyncRequest) Token {
	tok := w.token(label)
	w.write(w.m.Sync(w.now, tok, r))
	for _, a := range r.Assignments {
		for i := range a.Data {
			a.Data[i] = 0xee
		}
	}
	return tok
}

func (w *world) commit(r *CommitRequest) error {
	res, err := w.m.Commit(w.now, r)
	w.take(res, r.Producer)
	return err
}

func (w *world) end(mk entry.Marker) {
	w.m.ApplyMarker(mk)
	w.log = append(w.log, logged{marker: &mk})
}

// advance lets time pass and runs every tick at its time.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		at := w.m.NextDeadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		w.write(w.m.Tick(w.now))
	}
	w.now = end
}

// replay makes the machine that a new coordinator would load.
func (w *world) replay() *Machine {
	m := New(w.cfg)
	for _, l := range w.log {
		if l.marker != nil {
			m.ApplyMarker(*l.marker)
			continue
		}
		m.Apply(l.record, l.producer)
	}
	m.Loaded(w.now)
	return m
}

// durable is what of a machine survives a reload, as text. A group in the middle of a rebalance survives as its last
// record has it, so of the members only those of settled groups are told.
func durable(m *Machine, settled func(id string) bool) string {
	var b strings.Builder
	for _, id := range m.groupIDs() {
		g := m.groups[id]
		if !g.written && len(g.offsets) == 0 && len(g.pending) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s", id)
		if g.consumer != nil {
			b.WriteString(durableConsumer(g.consumer))
		} else if settled(id) {
			fmt.Fprintf(&b, " %v generation=%d type=%q protocol=%q leader=%q since=%d", g.state, g.generation, g.protocolType, g.protocol, g.leader, millisOf(g.since))
			for _, mb := range slices.SortedFunc(slices.Values(g.order), func(a, b *member) int { return strings.Compare(a.id, b.id) }) {
				fmt.Fprintf(&b, "\n  %s %s client=%s@%s %v/%v %x -> %x", mb.id, show(mb.instanceID), mb.clientID, mb.clientHost, mb.session, mb.rebalance,
					mb.metadataFor(g.protocol), mb.assignment)
			}
		}
		for _, p := range g.partitions() {
			o := g.offsets[p.Topic][p.Partition]
			fmt.Fprintf(&b, "\n  %s-%d: %d epoch=%d %q committed=%d expires=%d", p.Topic, p.Partition, o.at, o.leaderEpoch, o.metadata, millisOf(o.committed), millisOf(o.expires))
		}
		for _, p := range slices.SortedFunc(maps.Keys(g.pending), comparePartitions) {
			fmt.Fprintf(&b, "\n  %s-%d: %d pending", p.Topic, p.Partition, g.pending[p])
		}
		b.WriteByte('\n')
	}
	for _, id := range slices.Sorted(maps.Keys(m.txns)) {
		for _, gp := range slices.SortedFunc(maps.Keys(m.txns[id].offsets), compareGroupPartitions) {
			fmt.Fprintf(&b, "producer %d: %s %s-%d: %d\n", id, gp.group, gp.Topic, gp.Partition.Partition, m.txns[id].offsets[gp].at)
		}
	}
	return b.String()
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// checkReload fails the test if a new coordinator would know something else than the present one.
func (w *world) checkReload(t testing.TB) {
	t.Helper()
	settled := func(id string) bool {
		g := w.m.groups[id]
		return g != nil && g.consumer == nil && g.written && (g.state == Stable || g.state == Empty)
	}
	live, loaded := durable(w.m, settled), durable(w.replay(), settled)
	if live != loaded {
		t.Fatalf("a reload would change the state\nlive:\n%s\nloaded:\n%s", live, loaded)
	}
}

func describeAnswer(a Answer) string {
	if a.Join != nil {
		j := a.Join
		if j.Err != nil {
			return strings.TrimSpace(fmt.Sprintf("%s %s", code(j.Err), j.MemberID))
		}
		s := fmt.Sprintf("joined as %s generation=%d protocol=%s leader=%s", j.MemberID, j.Generation, j.Protocol, j.Leader)
		if j.SkipAssignment {
			s += " skip"
		}
		for _, mb := range j.Members {
			s += fmt.Sprintf(" %s=%s", mb.ID, readableMetadata(mb.Metadata))
			if mb.InstanceID != nil {
				s += "(" + *mb.InstanceID + ")"
			}
		}
		return s
	}
	if a.Sync.Err != nil {
		return code(a.Sync.Err)
	}
	return "assigned " + readable(a.Sync.Assignment)
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	var k *kerr.Error
	if !errors.As(err, &k) {
		panic(fmt.Sprintf("%v is no error of Kafka's", err))
	}
	return k.Message
}

func show(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}
