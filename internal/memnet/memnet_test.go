package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	var n Network
	l, err := n.Listen("a:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if client, err = n.Dial(context.Background(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestBytesArriveInOrderThroughASmallBuffer(t *testing.T) {
	c, s := pair(t)
	sent := make([]byte, 3*pipeBytes+17)
	for i := range sent {
		sent[i] = byte(i * 31)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := sent; len(b) > 0; {
			n := min(len(b), 7777)
			if _, err := c.Write(b[:n]); err != nil {
				t.Error(err)
				break
			}
			b = b[n:]
		}
		c.Close()
	})
	got, err := io.ReadAll(s)
	wg.Wait()
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("read %d bytes (equal %t), error %v; want %d", len(got), bytes.Equal(got, sent), err, len(sent))
	}
}

func TestWriteToAClosedPeerFails(t *testing.T) {
	c, s := pair(t)
	s.Close()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Fatal("a write to a closed peer succeeded")
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read after the peer closed: %v, want EOF", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read on a closed connection: %v, want net.ErrClosed", err)
	}
}

func TestDeadlineEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newConns("a:1", "b:2")
		begin := time.Now()
		c.SetReadDeadline(begin.Add(3 * time.Second))
		_, err := c.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Fatalf("read returned %v after %v", err, time.Since(begin))
		}
		c.SetReadDeadline(time.Time{})
		c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, pipeBytes+1))
		if n != pipeBytes || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write took %d bytes and returned %v; want a full buffer and a deadline", n, err)
		}
	})
}

func TestAClosedListenerRefuses(t *testing.T) {
	var n Network
	l, err := n.Listen("a:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen("a:1"); err == nil {
		t.Fatal("an address was given twice")
	}
	waiting, err := n.Dial(context.Background(), "tcp", "a:1")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := waiting.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("a connection that nobody accepted reads %v, want EOF", err)
	}
	if _, err := n.Dial(context.Background(), "tcp", "a:1"); !errors.Is(err, ErrRefused) {
		t.Fatalf("dialling a closed listener: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("accept on a closed listener: %v", err)
	}
	if _, err := n.Listen("a:1"); err != nil {
		t.Fatalf("the address of a closed listener is still taken: %v", err)
	}
}
