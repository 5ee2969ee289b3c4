package client

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Ping asks a cluster for a sign of life within a time. The client library looks at the context only once it is connected, so a server that accepts connections
// and says nothing is left behind here: the call that waits for it ends with the client.
func Ping(ctx context.Context, cl *kgo.Client, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- cl.Ping(ctx) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %v: %w", within, ctx.Err())
	}
}
