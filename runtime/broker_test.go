package runtime

import (
	"context"
	"net"
	"testing"
)

func startBroker(t *testing.T) ([]string, func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.Skip("no broker in this process yet")
	return nil, nil
}
