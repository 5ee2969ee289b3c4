package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is the log that is measured.
type cluster struct {
	brokers []string
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
	made    atomic.Int64                                                         // topics made so far, for their names
	prefix  string                                                               // of all names of this run
}

func (c *cluster) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...)}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	return opts
}

func (c *cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(c.options(), opts...)...)
}

// name returns a name that nothing in the cluster has yet.
func (c *cluster) name(kind string) string {
	return fmt.Sprintf("%s-%s-%d", c.prefix, kind, c.made.Add(1))
}

// create makes a topic; more are settings as key, value, key, value.
func (c *cluster) create(ctx context.Context, topic string, partitions int32, more ...string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	configs := map[string]*string{}
	for i := 0; i+1 < len(more); i += 2 {
		configs[more[i]] = &more[i+1]
	}
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, -1, configs, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// drop deletes topics that a round is done with; what fails only costs space.
func (c *cluster) drop(ctx context.Context, topics ...string) {
	if cl, err := c.client(); err == nil {
		defer cl.Close()
		_, _ = kadm.NewClient(cl).DeleteTopics(ctx, topics...)
	}
}

// firstError keeps the first of the errors that it is given.
type firstError struct{ err atomic.Pointer[error] }

func (f *firstError) promise(_ *kgo.Record, err error) {
	if err != nil {
		f.err.CompareAndSwap(nil, &err)
	}
}

func (f *firstError) get() error {
	if p := f.err.Load(); p != nil {
		return *p
	}
	return nil
}
