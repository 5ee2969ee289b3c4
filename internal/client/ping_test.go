package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAServerThatSaysNothingIsLeftBehind(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // connections wait in its queue, and nobody takes them
	cl, err := kgo.NewClient(kgo.SeedBrokers(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ended := make(chan error, 1)
	go func() { ended <- Ping(t.Context(), cl, time.Millisecond) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the silent server is answered with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the ping waits for a server that says nothing")
	}
}

func TestAServerThatAnswersIsAlive(t *testing.T) {
	w := newWorld(t, 1)
	if err := Ping(t.Context(), w.client(nil, Features{}), testLimit); err != nil {
		t.Error(err)
	}
}
