package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/partition"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/internal/record"
)

const (
	// maxFetchWait bounds a long poll, whatever the client asks for.
	maxFetchWait = 5 * time.Minute

	// fetchTopicIDs is the version from which on topics are named by id.
	fetchTopicIDs = 13

	// fetchLeaderHints is the version from which on an answer tells the new leader beside NOT_LEADER_OR_FOLLOWER (KIP-951).
	fetchLeaderHints = 16

	// SendChunk is how much of a log's section is read at a time, to be sent.
	SendChunk = 256 << 10
)

// handleFetch answers with record batches as they lie in the logs. When there is less than the client wants it waits, until enough was appended,
// something went wrong with a partition, or the time is up.
func handleFetch(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.FetchRequest)
	if req.IsolationLevel != readUncommitted && req.IsolationLevel != readCommitted {
		return refusedFetch(req, kerr.InvalidRequest), nil
	}
	plan, err := n.Sessions.begin(req, n.Now())
	if err != nil {
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = Code(err)
		return resp, nil
	}
	f := fetch{
		n: n, req: req, request: r, plan: plan,
		found:    make([]fetched, len(plan.parts)),
		maxBytes: min(int(req.MaxBytes), int(n.Settings().Int("fetch.max.bytes"))),
	}
	f.minBytes = min(int(req.MinBytes), f.maxBytes)
	answered := false
	defer func() {
		if !answered { // a panic must not keep what all fetches share
			f.drop()
		}
		plan.done(f.served)
	}()
	f.read()
	if !f.ready() {
		f.wait(ctx)
	}
	resp := &fetchAnswer{FetchResponse: f.answer(), sections: f.sections, release: f.drop}
	answered = true
	return resp, nil
}

// refusedFetch answers a request that cannot be looked at. Old versions have no place for that but the partitions.
func refusedFetch(req *kmsg.FetchRequest, err *kerr.Error) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	resp.ErrorCode = err.Code
	if req.Version >= fetchTopicIDs {
		return resp
	}
	for _, t := range req.Topics {
		out := kmsg.FetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			res := kmsg.NewFetchResponseTopicPartition()
			res.Partition, res.ErrorCode, res.HighWatermark, res.RecordBatches = p.Partition, err.Code, -1, []byte{}
			res.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			out.Partitions = append(out.Partitions, res)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// fetch is one Fetch request in process.
type fetch struct {
	n        *Node
	req      *kmsg.FetchRequest
	request  *Request
	plan     *fetchPlan
	found    []fetched // by the plan's parts
	maxBytes int
	minBytes int // what the client waits for; never more than it can be given

	bytes   int   // of all records found
	taken   int64 // of the budget for answers
	waiting int   // partitions that could be read
	failed  bool  // reading one of them failed, or shows that the client must do something
	served  map[*fetchPart]bool

	chunk    bool                 // taken has the memory that sections are sent through
	sections []*commitlog.Section // of the answer's partitions, in order; nil where the records are in memory
}

// fetched is what was found of one partition.
type fetched struct {
	part      *replica.Partition
	known     bool // the partition exists; what does not exist does not end a wait
	res       replica.ReadResult
	buf       *[]byte       // its records, in a buffer of the pool; nil when there are none, or a section
	bytes     int           // how many there were, also when they were given back since
	size      int64         // of the log before the reading
	upTo      record.Offset // where the reading had to end
	settled   bool          // all of size lay below upTo
	err       error
	diverging *kmsg.FetchResponseTopicPartitionDivergingEpoch
}

// read looks at every partition once, in order, until the answer is full.
func (f *fetch) read() {
	f.drop()
	f.waiting, f.failed = 0, false
	for i, p := range f.plan.parts {
		got := &f.found[i]
		*got = fetched{}
		if got.part, got.err = f.find(p); got.err != nil {
			continue
		}
		got.known = true
		f.waiting++
		f.readOne(p, got)
		if got.err != nil || got.diverging != nil {
			f.failed = true
		}
	}
}

// drop gives the buffers back.
func (f *fetch) drop() {
	for i := range f.found {
		got := &f.found[i]
		giveRecordBuffer(got.buf)
		got.buf = nil
		if got.res.Section != nil {
			got.res.Section.Release()
			got.res.Section = nil
		}
	}
	f.bytes, f.chunk = 0, false
	f.n.Answers.Give(f.taken)
	f.taken = 0
}

func (f *fetch) find(p *fetchPart) (*replica.Partition, error) {
	if !f.byID() {
		return f.n.Replicas.Partition(p.topic, p.number)
	}
	part, err := f.n.Replicas.PartitionByID(p.id, p.number)
	if err == nil {
		p.found = true
		return part, nil
	}
	if !p.found && f.n.Image().TopicByID(p.id) == nil {
		return nil, kerr.UnknownTopicID
	}
	return nil, err // of a topic that was there when the session began, too
}

func (f *fetch) byID() bool { return f.req.Version >= fetchTopicIDs }

// fromReplica reports whether the request says that it is a follower's.
func (f *fetch) fromReplica() bool { return f.req.ReplicaID >= 0 || f.req.ReplicaState.ID >= 0 }

func (f *fetch) readOne(p *fetchPart, got *fetched) {
	if f.fromReplica() {
		got.err = kerr.NotLeaderForPartition // nobody else holds replicas of what this broker leads
		return
	}
	if got.err = got.part.CheckEpoch(p.knownEpoch); got.err != nil {
		return
	}
	if p.fetchedEpoch >= 0 {
		if got.diverging, got.err = divergence(got.part, p); got.err != nil || got.diverging != nil {
			return
		}
	}
	// When the answers of all clients take all the memory there is for them, one batch for each client still goes out.
	got.size, got.settled = got.part.Measure()
	room := f.n.Answers.TakeUpTo(min(int64(f.maxBytes-f.bytes), int64(p.maxBytes), got.size))
	f.taken += room // before anything that may panic, so that drop gives it back
	o := replica.ReadOptions{
		MaxBytes:   int(room),
		AtLeastOne: f.bytes == 0,
		Committed:  f.req.IsolationLevel == readCommitted,
		Sections:   f.chunk || room >= SendChunk,
	}
	buf := takeRecordBuffer()
	got.res, got.err = got.part.Read(*buf, record.Offset(p.offset), o)
	got.upTo = f.bound(got.res.Offsets)
	got.settled = got.settled && got.res.Offsets.End <= got.upTo
	used := min(int64(len(got.res.Bytes)), room)
	if got.res.Section != nil && !f.chunk { // sections take no memory until they are sent, and then a piece at a time
		f.chunk, used = true, SendChunk
	}
	f.n.Answers.Give(room - used)
	f.taken -= room - used
	if section := got.res.Section; section != nil {
		giveRecordBuffer(buf)
		got.bytes = section.Len()
		f.bytes += got.bytes
		return
	}
	if got.err != nil || len(got.res.Bytes) == 0 {
		giveRecordBuffer(buf)
		return
	}
	*buf = got.res.Bytes
	got.buf, got.bytes = buf, len(*buf)
	f.bytes += len(*buf)
}

// bound is where the client's reading ends.
func (f *fetch) bound(o partition.Offsets) record.Offset {
	if f.req.IsolationLevel == readCommitted {
		return o.LastStable
	}
	return o.HighWatermark
}

// divergence compares the epoch of the client's last record with the log: where they differ, the log was truncated since.
func divergence(part *replica.Partition, p *fetchPart) (*kmsg.FetchResponseTopicPartitionDivergingEpoch, error) {
	epoch, end, err := part.EpochEnd(record.LeaderEpoch(p.fetchedEpoch))
	if err != nil {
		return nil, err
	}
	if epoch == record.NoLeaderEpoch {
		return nil, kerr.OffsetOutOfRange
	}
	if int32(epoch) < p.fetchedEpoch || int64(end) < p.offset {
		d := kmsg.NewFetchResponseTopicPartitionDivergingEpoch()
		d.Epoch, d.EndOffset = int32(epoch), int64(end)
		return &d, nil
	}
	return nil, nil
}

// ready reports whether the answer can go out.
func (f *fetch) ready() bool {
	return f.waiting == 0 || f.failed || f.req.MaxWaitMillis <= 0 || f.bytes >= f.minBytes
}

// wait reads again when what happened in the partitions may have been enough, until the answer is ready or the time is up.
func (f *fetch) wait(ctx context.Context) {
	defer waiting(f.request, &f.n.Meter.FetchesWaiting)()
	w := replica.NewWaiter()
	defer w.Close()
	for i := range f.found {
		if f.found[i].known {
			w.Watch(f.found[i].part)
		}
	}
	// Something may have happened between the first reading and the watching.
	f.read()
	timer := time.NewTimer(min(time.Duration(f.req.MaxWaitMillis)*time.Millisecond, maxFetchWait))
	defer timer.Stop()
	for over := false; !over && !f.ready(); {
		f.drop() // who waits holds no buffer
		select {
		case <-w.C():
		case <-timer.C:
			over = true
		case <-ctx.Done():
			over = true
		}
		if over || f.worthReading() {
			f.read()
		}
	}
}

// worthReading tells from sizes alone whether another reading may find enough, or something that the client must know at once. A client that waits for a
// megabyte would otherwise have each small append read all that came before it.
func (f *fetch) worthReading() bool {
	total := 0
	for i, p := range f.plan.parts {
		got := &f.found[i]
		if !got.known {
			continue
		}
		part, err := f.find(p)
		if err != nil || part != got.part || part.Err() != nil || part.CheckEpoch(p.knownEpoch) != nil {
			return true
		}
		grown, o := part.Size()-got.size, part.Offsets()
		if grown < 0 || int64(o.LogStart) > p.offset {
			return true // old segments were deleted, or cleaned
		}
		if !got.settled && f.bound(o) > got.upTo {
			return true // what was in the log and could not be read then may be read now, and is not in grown
		}
		total += min(got.bytes+int(grown), max(int(p.maxBytes), got.bytes))
	}
	return total >= f.minBytes
}

// answer makes the response: every partition in a full one, only what is new in an incremental one.
func (f *fetch) answer() *kmsg.FetchResponse {
	resp := f.req.ResponseKind().(*kmsg.FetchResponse)
	if f.plan.session != nil {
		resp.SessionID = f.plan.session.id
		f.served = map[*fetchPart]bool{}
	}
	// Partitions that do not exist go last, as Kafka has them.
	for _, known := range []bool{true, false} {
		for i, p := range f.plan.parts {
			if got := &f.found[i]; got.known == known {
				f.add(resp, p, got)
			}
		}
	}
	return resp
}

// add puts a partition into the response, unless the client has nothing to learn of it.
func (f *fetch) add(resp *kmsg.FetchResponse, p *fetchPart, got *fetched) {
	out := f.partition(p, got)
	if !f.plan.full && !p.isNews(&out, got.bytes > 0) {
		return
	}
	p.remember(&out)
	f.sections = append(f.sections, got.res.Section)
	if got.buf != nil || got.res.Section != nil {
		got.part.Served(got.bytes)
		if f.served != nil {
			f.served[p] = true
		}
	}
	if out.ErrorCode != 0 {
		f.n.Meter.Of(f.req.Key()).Error(out.ErrorCode)
		if got.part != nil {
			got.part.FetchFailed()
		}
	}
	f.hintLeader(resp, p, got, &out)
	last := len(resp.Topics) - 1
	if last < 0 || resp.Topics[last].Topic != p.topic || resp.Topics[last].TopicID != p.id {
		resp.Topics = append(resp.Topics, kmsg.FetchResponseTopic{Topic: p.topic, TopicID: p.id})
		last++
	}
	resp.Topics[last].Partitions = append(resp.Topics[last].Partitions, out)
}

func (f *fetch) partition(p *fetchPart, got *fetched) kmsg.FetchResponseTopicPartition {
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition = p.number
	out.RecordBatches = []byte{}
	if got.err != nil {
		out.ErrorCode, out.HighWatermark = Code(got.err), -1
		if !got.known {
			out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		}
		return out
	}
	if got.diverging != nil {
		out.DivergingEpoch = *got.diverging
		got.res.Offsets = got.part.Offsets()
	}
	o := got.res.Offsets
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = int64(o.HighWatermark), int64(o.LastStable), int64(o.LogStart)
	if got.buf != nil {
		out.RecordBatches = *got.buf
	}
	if f.req.IsolationLevel == readCommitted {
		out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		for _, a := range got.res.Aborted {
			out.AbortedTransactions = append(out.AbortedTransactions,
				kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: int64(a.ProducerID), FirstOffset: int64(a.FirstOffset)})
		}
	}
	return out
}

// hintLeader tells a client that asked the wrong broker, or in an old epoch, who leads the partition.
func (f *fetch) hintLeader(resp *kmsg.FetchResponse, p *fetchPart, got *fetched, out *kmsg.FetchResponseTopicPartition) {
	if f.req.Version < fetchLeaderHints || !errors.Is(got.err, replica.ErrFencedEpoch) && out.ErrorCode != kerr.NotLeaderForPartition.Code {
		return
	}
	t := f.n.Image().TopicByID(p.id)
	if t == nil || int(p.number) >= len(t.Partitions) {
		return
	}
	meta := &t.Partitions[p.number]
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = meta.Leader, meta.LeaderEpoch
	if f.fromReplica() {
		return // brokers know where the others are
	}
	for _, b := range resp.Brokers {
		if b.NodeID == meta.Leader {
			return
		}
	}
	l := f.request.Conn.Listener
	resp.Brokers = append(resp.Brokers, kmsg.FetchResponseBroker{NodeID: meta.Leader, Host: l.Host, Port: l.Port})
}

// isNews reports whether an incremental answer has to name the partition.
func (p *fetchPart) isNews(out *kmsg.FetchResponseTopicPartition, records bool) bool {
	return !p.told || out.ErrorCode != 0 || records || out.DivergingEpoch.Epoch >= 0 ||
		out.HighWatermark != p.highWater || out.LogStartOffset != p.logStart || out.LastStableOffset != p.stable
}

func (p *fetchPart) remember(out *kmsg.FetchResponseTopicPartition) {
	p.told = out.ErrorCode == 0 // after an error the next answer names the partition again
	p.highWater, p.logStart, p.stable = out.HighWatermark, out.LogStartOffset, out.LastStableOffset
}
