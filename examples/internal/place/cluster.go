package place

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
)

// Cluster is how to reach a log: addresses, and for one inside this process the dial function.
type Cluster struct {
	Brokers []string
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
}

// Client returns a client of the cluster; the caller closes it.
func (c *Cluster) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(c.Brokers...), kgo.ClientID("millrace-example"))
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	return kgo.NewClient(opts...)
}

// How long a cluster may take to answer for the first time: six tries of two seconds.
const (
	connectTries   = 6
	connectTimeout = 2 * time.Second
)

// Connect waits until the cluster answers, and tells report about every try that failed.
func (c *Cluster) Connect(ctx context.Context, report func(string)) error {
	cl, err := c.Client(kgo.RequestRetries(0), kgo.DialTimeout(connectTimeout))
	if err != nil {
		return err
	}
	defer cl.Close()
	for try := 1; ; try++ {
		err := client.Ping(ctx, cl, connectTimeout)
		where := strings.Join(c.Brokers, ",")
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case try == connectTries:
			return fmt.Errorf("no broker answers at %s after %d tries (%w): start one, for example with go run ./cmd/millrace dev, or check --brokers", where, try, err)
		}
		report(fmt.Sprintf("no answer from %s yet (%v), try %d of %d", where, err, try, connectTries))
		select {
		case <-time.After(connectTimeout / 2):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TopicSpec is a topic that the program needs. Partitions is used when it does not exist yet.
type TopicSpec struct {
	Name       string
	Partitions int32
	Configs    map[string]string
}

// Ensure creates the topics that are missing and returns how many partitions each has.
func (c *Cluster) Ensure(ctx context.Context, specs ...TopicSpec) (map[string]int32, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
		configs := map[string]*string{}
		for k, v := range s.Configs {
			configs[k] = kadm.StringPtr(v)
		}
		_, err := adm.CreateTopic(ctx, s.Partitions, -1, configs, s.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return nil, fmt.Errorf("create topic %s: %w", s.Name, err)
		}
	}
	return partitionCounts(ctx, adm, names)
}

// partitionCounts returns how many partitions each topic has, as soon as all are known.
func partitionCounts(ctx context.Context, adm *kadm.Client, names []string) (map[string]int32, error) {
	counts := map[string]int32{}
	err := Patiently(ctx, func() error {
		listed, err := adm.ListTopics(ctx, names...)
		if err == nil {
			err = listed.Error()
		}
		for _, t := range listed {
			counts[t.Topic] = int32(len(t.Partitions))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the topics %s: %w", strings.Join(names, ", "), err)
	}
	return counts, nil
}

// Patience is how long a cluster may take to get over what passes by itself: a new topic is not known to all brokers yet, a coordinator is starting.
const Patience = 30 * time.Second

// Patiently calls fn until it succeeds, fails for good, or Patience is over.
func Patiently(ctx context.Context, fn func() error) error {
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		err := fn()
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RecordOverhead is what a batch and a record in it need besides the value, rounded up generously: 61 bytes of batch header, 7 varints, no key.
const RecordOverhead = 128

// maxLine bounds a line whatever a topic allows: 64 MiB, since a line is in memory as a whole.
const maxLine = 64 << 20

// MaxRecord returns how many bytes the value of one record of a topic may have.
func (c *Cluster) MaxRecord(ctx context.Context, topic string) (int, error) {
	cl, err := c.Client()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("describe topic %s: %w", topic, err)
	}
	resource, err := described.On(topic, nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return 0, fmt.Errorf("describe topic %s: %w", topic, err)
	}
	for _, config := range resource.Configs {
		if n := 0; config.Key == "max.message.bytes" {
			if _, err := fmt.Sscan(config.MaybeValue(), &n); err != nil {
				return 0, fmt.Errorf("topic %s: max.message.bytes %q is no number", topic, config.MaybeValue())
			}
			return min(max(n-RecordOverhead, 0), maxLine), nil
		}
	}
	return 0, fmt.Errorf("topic %s: the broker does not tell its max.message.bytes", topic)
}
