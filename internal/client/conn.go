package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
)

// Config says how to reach a cluster. Immutable after use.
type Config struct {
	// Brokers are the addresses to begin with; one that answers is enough.
	Brokers []string
	// Dial opens connections; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// SASL is how connections say who they are, the first that the broker knows; nil is not at all.
	SASL []sasl.Mechanism
	// ClientID is told to the broker, which shows it in its logs and limits by it.
	ClientID string
}

// Options returns what a franz-go client needs to connect by this configuration and to serve a Producer and a Fetcher of this package.
func (c Config) Options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.SoftwareNameAndVersion("millrace", "1"),
		kgo.RetryBackoffFn(backoff),
		kgo.DisableClientMetrics(),
		kgo.RequestRetries(8),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DialTimeout(5 * time.Second),
	}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	if len(c.SASL) > 0 {
		opts = append(opts, kgo.SASL(c.SASL...))
	}
	return opts
}

// Back-off between attempts: doubled from minBackoff to maxBackoff.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
)

// backoff returns the pause before the given attempt, counted from 1.
func backoff(attempt int) time.Duration {
	d := minBackoff
	for ; attempt > 1 && d < maxBackoff; attempt-- {
		d *= 2
	}
	return min(d, maxBackoff)
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry calls f until it succeeds, fails for good, or limit is over; then it returns f's last error.
func retry(ctx context.Context, limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || !retriable(err) || ctx.Err() != nil {
			return err
		}
		d := backoff(attempt)
		if errors.Is(err, kerr.ConcurrentTransactions) {
			d = minBackoff // the markers of the last transaction are on the way: this passes in milliseconds
		}
		if time.Now().Add(d).After(deadline) {
			return fmt.Errorf("gave up after %v: %w", limit, err)
		}
		if pause(ctx, d) != nil {
			return err
		}
	}
}

// Features is what the cluster has switched on for all its brokers.
type Features struct {
	// Transactions2 is transaction.version 2 (KIP-890): partitions join a transaction with their first batch, and each end of a transaction bumps the
	// producer's epoch.
	Transactions2 bool
}

// Last versions that an older transaction protocol may use, by request key; newer ones imply KIP-890's second part.
var transactions1 = []struct{ key, version int16 }{
	{0, 11}, // Produce
	{22, 5}, // InitProducerId
	{24, 3}, // AddPartitionsToTxn: from 4 on it is spoken between brokers
	{26, 4}, // EndTxn
	{28, 4}, // TxnOffsetCommit
}

// FetchFeatures asks a broker.
func FetchFeatures(ctx context.Context, cl *kgo.Client) (Features, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "millrace", "1"
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return Features{}, err
	}
	var f Features
	for i := range resp.FinalizedFeatures {
		if ff := &resp.FinalizedFeatures[i]; ff.Name == "transaction.version" && ff.MaxVersionLevel >= 2 {
			f.Transactions2 = true
		}
	}
	return f, nil
}

// Options returns the limits that a client needs to speak to a cluster with these features.
func (f Features) Options() []kgo.Opt {
	if f.Transactions2 {
		return nil
	}
	v := kversion.Stable()
	for _, l := range transactions1 {
		v.SetMaxKeyVersion(l.key, l.version)
	}
	return []kgo.Opt{kgo.MaxVersions(v)}
}
