package runtime

import (
	"context"
	"net"
	"testing"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

func startBroker(t *testing.T) ([]string, func(ctx context.Context, network, address string) (net.Conn, error)) {
	b := brokertest.Start(t, broker.Config{})
	return []string{b.Addr}, b.Net.Dial
}
