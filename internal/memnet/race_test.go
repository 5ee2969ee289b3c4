package memnet

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A deadline that passes after a reader has looked, and before it waits, wakes it all the same.
func TestNoDeadlineIsMissed(t *testing.T) {
	p := newPipe()
	p.reader.set(p, time.Now().Add(time.Millisecond))
	p.mu.Lock() // the reader has looked
	passed := time.NewTimer(20 * time.Millisecond)
	<-passed.C
	missed := time.AfterFunc(10*time.Second, func() {
		t.Error("the reader was not woken")
		p.cond.Broadcast()
	})
	p.cond.Wait()
	p.mu.Unlock()
	missed.Stop()
}

// A connection that was dialled while its listener closed is refused, or served, or ends: nobody waits on it for good.
func TestNoConnectionIsLeftBehindByAClosedListener(t *testing.T) {
	for range 5_000 {
		n := &Network{}
		l, err := n.Listen("broker:0")
		if err != nil {
			t.Fatal(err)
		}
		conns := make([]net.Conn, 8)
		var all sync.WaitGroup
		for i := range conns {
			all.Go(func() { conns[i], _ = n.Dial(t.Context(), "mem", l.Addr().String()) })
		}
		all.Go(func() { l.Close() })
		all.Wait()
		for _, c := range conns {
			if c == nil {
				continue
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			var b [1]byte
			if _, err := c.Read(b[:]); err != io.EOF {
				t.Fatalf("reading from a connection that nobody accepted: %v", err)
			}
		}
	}
}
