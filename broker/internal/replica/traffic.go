package replica

import (
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/meter"
)

// Traffic is what went through partitions since the broker started.
type Traffic struct {
	RecordsIn, BytesIn, BytesOut   int64
	FailedProduces, FailedFetches  int64 // requests that a partition answered with an error
	ProduceRequests, FetchRequests int64 // parts of requests: one for each partition that records went in to, or out of
}

// Add adds o.
func (t *Traffic) Add(o Traffic) {
	t.RecordsIn += o.RecordsIn
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
	t.FailedProduces += o.FailedProduces
	t.FailedFetches += o.FailedFetches
	t.ProduceRequests += o.ProduceRequests
	t.FetchRequests += o.FetchRequests
}

// traffic counts for one partition.
type traffic struct {
	recordsIn, bytesIn, bytesOut   atomic.Int64
	failedProduces, failedFetches  atomic.Int64
	produceRequests, fetchRequests atomic.Int64
}

func (t *traffic) appended(info commitlog.AppendInfo, bytes int) {
	if info.Duplicate || info.LastOffset < info.FirstOffset {
		return
	}
	t.recordsIn.Add(int64(info.LastOffset - info.FirstOffset + 1))
	t.bytesIn.Add(int64(bytes))
	t.produceRequests.Add(1)
}

// Traffic is what went through the partition.
func (p *Partition) Traffic() Traffic {
	t := &p.traffic
	return Traffic{
		RecordsIn: t.recordsIn.Load(), BytesIn: t.bytesIn.Load(), BytesOut: t.bytesOut.Load(),
		FailedProduces: t.failedProduces.Load(), FailedFetches: t.failedFetches.Load(),
		ProduceRequests: t.produceRequests.Load(), FetchRequests: t.fetchRequests.Load(),
	}
}

// Served counts records that a client was given.
func (p *Partition) Served(bytes int) {
	p.traffic.bytesOut.Add(int64(bytes))
	p.traffic.fetchRequests.Add(1)
}

// ProduceFailed counts an append that a client was refused.
func (p *Partition) ProduceFailed() { p.traffic.failedProduces.Add(1) }

// FetchFailed counts a read that a client was refused.
func (p *Partition) FetchFailed() { p.traffic.failedFetches.Add(1) }

// Traffic returns what went through each partition that there is, and through all that there ever were.
func (m *Manager) Traffic() (each map[*Partition]Traffic, all Traffic) {
	m.pastMu.Lock()
	defer m.pastMu.Unlock()
	list := m.All()
	each, all = make(map[*Partition]Traffic, len(list)), m.past
	for _, p := range list {
		t := p.Traffic()
		each[p] = t
		all.Add(t)
	}
	return each, all
}

// Flushes tells how long flushing a log took.
func (m *Manager) Flushes(now time.Time) meter.Summary { return m.flushes.Summary(now) }

// succeed makes next the index. What went through partitions that it does not have counts as past, in the same moment: no sum ever falls.
func (m *Manager) succeed(next *index) {
	m.pastMu.Lock()
	defer m.pastMu.Unlock()
	for id, list := range m.index.Load().byID {
		if next.byID[id] != nil {
			continue
		}
		for _, p := range list {
			m.past.Add(p.Traffic())
		}
	}
	m.index.Store(next)
}
