package api

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/broker/internal/budget"
	"github.com/millrace-io/millrace/broker/internal/cluster"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/groups"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/meter"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// Node is the broker as handlers see it. All fields are set before the first request and immutable after; what they point to is safe for concurrent use.
type Node struct {
	ID       int32
	DataDir  string
	Log      *slog.Logger
	Now      func() time.Time
	APIs     []API // Table(), by key
	Settings func() *settings.Broker
	// Listeners are the addresses that the broker serves just now, with their protocols, in order.
	Listeners func() []string
	Cluster   *cluster.Local
	Replicas  *replica.Manager
	Sessions  *FetchSessions
	// Answers bounds the memory of all fetch answers that are on their way together.
	Answers *budget.Budget
	// DiskSpace returns the size of the disk under the data directory and what is free of it; -1 when that is not known.
	DiskSpace func() (total, usable int64)

	// Meter counts what happens.
	Meter *meter.Meter

	Groups       *groups.Coordinator
	Transactions *transactions.Coordinator
}

// waiting says that a request begins to wait, and counts it. The function that it returns is called when the wait is over.
func waiting(r *Request, gauge *atomic.Int64) (over func()) {
	if r.BeforeWait != nil {
		r.BeforeWait()
	}
	begun := time.Now()
	gauge.Add(1)
	return func() {
		gauge.Add(-1)
		r.Waited += time.Since(begun)
	}
}

// Image is the metadata as this broker knows it.
func (n *Node) Image() *controller.Image { return n.Cluster.Image() }

// EnsureInternalTopic makes sure that __consumer_offsets or __transaction_state exists and returns its metadata. The first caller creates it.
func (n *Node) EnsureInternalTopic(ctx context.Context, name string) (*controller.Topic, error) {
	if t := n.Image().Topic(name); t != nil {
		return t, nil
	}
	return n.Cluster.CreateInternalTopic(ctx, name)
}

// AllocateProducerIDs hands out a block of producer ids that no one was given before: [first, first+count).
func (n *Node) AllocateProducerIDs(ctx context.Context) (first int64, count int64, err error) {
	return n.Cluster.AllocateProducerIDs(ctx)
}
