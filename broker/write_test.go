package broker

import (
	"errors"
	"io"
	"net"
	"testing"

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
