package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// produceTimeout is how long a broker may wait for its followers before it answers a Produce request.
const produceTimeout = 15 * time.Second

// startSender makes sure that a broker has its goroutine. Called with mu held.
func (p *Producer) startSender(broker int32) {
	if _, ok := p.senders[broker]; ok || p.closed {
		return
	}
	if broker < 0 { // no leader at present
		return
	}
	p.senders[broker] = struct{}{}
	p.wg.Go(func() { p.send(broker) })
}

// send is the loop of one broker's sender: one request at a time, with the first sealed batch of every partition that the broker leads. What is sealed meanwhile
// rides with the next request, so that the size of requests follows the load.
func (p *Producer) send(broker int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed {
		round := p.collect(broker)
		if len(round) == 0 {
			p.cond.Wait()
			continue
		}
		p.busy[broker] = true
		p.inflight++
		p.mu.Unlock()
		resp, err := p.exchange(broker, round)
		p.mu.Lock()
		p.inflight--
		p.busy[broker] = false
		p.finish(round, resp, err)
		p.cond.Broadcast()
	}
}

// shipment is a partition's head batch on its way.
type shipment struct {
	part  *partition
	batch record.Batch // immutable while under way
}

// collect takes the head batches for a broker, as many as a request may hold, and marks them under way. Called with mu held.
func (p *Producer) collect(broker int32) []shipment {
	if p.err != nil {
		return nil
	}
	var round []shipment
	size := 0
	now := time.Now()
	for _, part := range p.pending {
		if part.underway {
			continue
		}
		if part.leader < 0 {
			p.refreshTopic(part.topic.Name)
			continue
		}
		if part.leader != broker {
			p.startSender(part.leader)
			continue
		}
		if part.retryAt.After(now) { // a timer wakes us, see retryLater
			continue
		}
		if size += len(part.queue[0].bytes); size > maxRequestBytes && len(round) > 0 {
			break
		}
		part.underway = true
		round = append(round, shipment{part, part.queue[0].bytes})
	}
	return round
}

// exchange sends a round and returns the answer. Called without mu.
func (p *Producer) exchange(broker int32, round []shipment) (*kmsg.ProduceResponse, error) {
	if p.cfg.TransactionalID != "" && !p.cfg.Features.Transactions2 {
		if err := p.addPartitions(round); err != nil {
			return nil, err
		}
	}
	req := kmsg.NewPtrProduceRequest()
	if p.cfg.TransactionalID != "" {
		req.TransactionID = &p.cfg.TransactionalID
	}
	req.Acks = -1
	req.TimeoutMillis = int32(produceTimeout.Milliseconds())
	for _, s := range round {
		t := s.part.topic
		i := slices.IndexFunc(req.Topics, func(rt kmsg.ProduceRequestTopic) bool { return rt.Topic == t.Name })
		if i < 0 {
			i = len(req.Topics)
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic, rt.TopicID = t.Name, t.ID
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = s.part.index, s.batch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	kresp, err := p.cl.Broker(int(broker)).Request(p.ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := kresp.(*kmsg.ProduceResponse)
	if !ok {
		return nil, fmt.Errorf("client: broker %d answered a Produce request with %T", broker, kresp)
	}
	return resp, nil
}

// finish settles a round. Called with mu held.
func (p *Producer) finish(round []shipment, resp *kmsg.ProduceResponse, err error) {
	if err == nil {
		p.settleAll(round, resp)
		err = errLeftOut
	}
	for _, s := range round {
		part := s.part
		if !part.underway {
			continue
		}
		part.underway = false
		switch {
		case p.err != nil:
		case retriable(err):
			p.retryLater(part, err)
		default:
			p.fail(fmt.Errorf("client: producing: %w", err))
		}
	}
}

// errLeftOut is for a partition of a request that the answer does not name.
var errLeftOut = errors.New("the broker's answer lacks the partition")

// settleAll acts on every partition that an answer names, and takes it off the road. Called with mu held.
func (p *Producer) settleAll(round []shipment, resp *kmsg.ProduceResponse) {
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			k := slices.IndexFunc(round, func(s shipment) bool {
				t := s.part.topic
				return s.part.underway && s.part.index == rp.Partition && (t.Name == rt.Topic || rt.Topic == "" && t.ID == rt.TopicID)
			})
			if k >= 0 {
				round[k].part.underway = false
				p.settle(round[k].part, rp)
			}
		}
	}
}

// settle acts on one partition's answer. Called with mu held.
func (p *Producer) settle(part *partition, rp *kmsg.ProduceResponseTopicPartition) {
	kerror := kerr.ErrorForCode(rp.ErrorCode)
	if kerror == nil {
		p.acknowledge(part, rp.BaseOffset)
		return
	}
	if p.err != nil {
		return
	}
	cause := fmt.Errorf("topic %s, partition %d: %w", part.topic.Name, part.index, kerror)
	if m := rp.ErrorMessage; m != nil && *m != "" {
		cause = fmt.Errorf("%w (%s)", cause, *m)
	}
	switch classifyProduce(kerror) {
	case produceDone:
		p.acknowledge(part, rp.BaseOffset)
	case produceRetry:
		p.retryLater(part, cause)
	case produceAbort:
		p.fail(wrap(ErrAbort, cause))
	case produceFenced:
		p.fail(wrap(ErrFenced, cause))
	case produceFatal:
		p.fail(fmt.Errorf("client: %w", cause))
	}
}

// acknowledge takes the head batch off the queue. Called with mu held.
func (p *Producer) acknowledge(part *partition, base int64) {
	b := part.queue[0]
	if base >= 0 {
		part.end = base + int64(b.count)
	}
	copy(part.queue, part.queue[1:])
	part.queue = part.queue[:len(part.queue)-1]
	part.attempts, part.retryAt = 0, time.Time{}
	p.buffered -= len(b.bytes)
	p.recycle(b)
	if len(part.queue) == 0 {
		i := slices.Index(p.pending, part)
		p.pending[i] = p.pending[len(p.pending)-1]
		p.pending = p.pending[:len(p.pending)-1]
	}
}

// retryLater keeps the head batch for another attempt with the same sequence, after a pause and with fresh leaders. Called with mu held.
func (p *Producer) retryLater(part *partition, cause error) {
	now := time.Now()
	if waited := now.Sub(part.queue[0].sealedAt); waited > p.cfg.DeliveryTimeout {
		p.fail(wrap(ErrAbort, fmt.Errorf("topic %s, partition %d: not delivered within %v: %w", part.topic.Name, part.index, p.cfg.DeliveryTimeout, cause)))
		return
	}
	part.attempts++
	d := backoff(part.attempts)
	if errors.Is(cause, kerr.ConcurrentTransactions) {
		d = minBackoff
	} else {
		p.refreshTopic(part.topic.Name)
	}
	part.retryAt = now.Add(d)
	p.cfg.Logger.Debug("produce retried", "topic", part.topic.Name, "partition", part.index, "attempt", part.attempts, "error", cause)
	time.AfterFunc(d, p.wake)
}

// refreshTopic asks for a topic's leaders in the background, one request at a time. Called with mu held.
func (p *Producer) refreshTopic(name string) {
	p.refresh[name] = struct{}{}
	if p.refreshed || p.closed {
		return
	}
	p.refreshed = true
	p.wg.Go(p.refreshLoop)
}

func (p *Producer) refreshLoop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.refreshed = false }()
	for attempt := 1; len(p.refresh) > 0 && !p.closed; attempt++ {
		var names []string
		for name := range p.refresh {
			names = append(names, name)
		}
		clear(p.refresh)
		p.mu.Unlock()
		infos, err := p.topics.Refresh(p.ctx, names...)
		if pauseErr := pause(p.ctx, backoff(attempt)); pauseErr != nil {
			err = pauseErr
		}
		p.mu.Lock()
		for _, info := range infos {
			p.moveLeaders(info)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			p.cfg.Logger.Debug("leaders not known", "error", err)
			for _, part := range p.pending { // still waiting for them
				if slices.Contains(names, part.topic.Name) {
					p.expire(part, err)
					p.refresh[part.topic.Name] = struct{}{}
				}
			}
		}
		p.cond.Broadcast()
	}
}

// expire gives up on a partition whose leader cannot be found in time. Called with mu held.
func (p *Producer) expire(part *partition, cause error) {
	if p.err == nil && time.Since(part.queue[0].sealedAt) > p.cfg.DeliveryTimeout {
		p.fail(wrap(ErrAbort, fmt.Errorf("topic %s, partition %d: no leader within %v: %w", part.topic.Name, part.index, p.cfg.DeliveryTimeout, cause)))
	}
}

// moveLeaders applies fresh metadata. Only waiting partitions matter, but a topic's partitions are few. Called with mu held.
func (p *Producer) moveLeaders(info TopicInfo) {
	for _, part := range p.pending {
		t := part.topic
		if t.Name != info.Name {
			continue
		}
		if t.ID != (TopicID{}) && info.ID != t.ID {
			p.fail(fmt.Errorf("client: topic %s: %w", t.Name, ErrTopicChanged))
			return
		}
		if int(part.index) < len(info.Leaders) {
			part.leader = info.Leaders[part.index]
		}
		if part.leader < 0 {
			p.expire(part, kerr.LeaderNotAvailable)
			p.refresh[t.Name] = struct{}{}
		} else {
			p.startSender(part.leader)
		}
	}
}
