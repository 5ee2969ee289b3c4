package broker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/budget"
)

func TestAnswersThatNobodyReadsHaveABound(t *testing.T) {
	const room = 3 * freeAnswer
	s := &Server{replies: budget.New(room)}
	answer := make([]byte, 3*freeAnswer) // two thirds of it are counted
	lazy, lazyClient := net.Pipe()
	defer lazy.Close()
	wrote := make(chan error)
	go func() { wrote <- (&conn{server: s, net: lazy}).writeCounted(answer) }()
	if _, err := io.ReadFull(lazyClient, make([]byte, 1)); err != nil { // the answer is on its way now
		t.Fatal(err)
	}
	if free := s.replies.Free(); free != room-2*freeAnswer {
		t.Fatalf("%d bytes are free while an answer of %d is not read", free, len(answer))
	}
	other, otherClient := net.Pipe()
	defer other.Close()
	c := &conn{server: s, net: other}
	if err := c.writeCounted(answer); !errors.Is(err, errNobodyReads) {
		t.Fatalf("a second large answer: %v", err)
	}
	go io.Copy(io.Discard, otherClient)
	if err := c.writeCounted(make([]byte, freeAnswer)); err != nil {
		t.Fatalf("a small answer: %v", err)
	}
	lazyClient.Close()
	if err := <-wrote; err == nil {
		t.Error("an answer to a client that went away was written")
	}
	if free := s.replies.Free(); free != room {
		t.Errorf("%d bytes of %d came back", free, room)
	}
	if err := c.writeCounted(answer); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// holding is a connection with one answer that is held back, of heldBytes, and its client.
func holding(t *testing.T) (c *conn, client net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { server.Close(); client.Close() })
	client.SetDeadline(time.Now().Add(time.Minute))
	c = &conn{server: &Server{replies: budget.New(freeAnswer), requests: budget.New(1)}, net: server, read: bufio.NewReader(server)}
	c.out.add(&api.Request{}, kmsg.NewPtrHeartbeatResponse())
	return c, client
}

const heldBytes = 4 + 4 + 2 // length, correlation id, error code

// A request that waits for memory may wait for that of a client that waits for its answer.
func TestAnswersLeaveBeforeARequestWaitsForMemory(t *testing.T) {
	c, client := holding(t)
	c.server.requests.TakeUpTo(1)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- c.takeMemory(ctx, 1) }()
	if _, err := io.ReadFull(client, make([]byte, heldBytes)); err != nil {
		t.Errorf("the answer before: %v", err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("there is no memory, and the request is told %v", err)
	}
}

// The server goes down between a request and the next, with an answer still held.
func TestAConnectionWithAnAnswerHeldIsNotIdle(t *testing.T) {
	c, client := holding(t)
	if !c.begin() || c.end() {
		t.Fatal("the server goes down already")
	}
	c.finish()
	if c.begin() {
		t.Error("a request is taken after the last")
	}
	c.finish()
	wrote := make(chan error)
	go func() { wrote <- c.flush() }()
	if _, err := io.ReadFull(client, make([]byte, heldBytes)); err != nil {
		t.Errorf("the answer: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if c.end(); c.busy {
		t.Error("the connection is busy with nothing")
	}
}

// The client may have a part of what could not be written: more would be taken for the rest.
func TestNothingIsWrittenBehindAWriteThatFailed(t *testing.T) {
	c, client := holding(t)
	wrote := make(chan error)
	go func() { wrote <- c.flush() }()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.net.SetWriteDeadline(time.Now())
	failed := <-wrote
	if failed == nil {
		t.Fatal("an answer of which a byte was read is written")
	}
	c.out.add(&api.Request{}, kmsg.NewPtrHeartbeatResponse())
	if err := c.flush(); !errors.Is(err, failed) { // with the time that it gives itself anew it would wait for the client
		t.Errorf("the next answer: %v, want %v", err, failed)
	}
}
