package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestResetsGoOnTooLongUnlessTheWorkerHasRested(t *testing.T) {
	const limit = 5 * time.Minute
	cause := errors.New("the transaction was aborted")
	start := time.Unix(1_700_000_000, 0)
	const (
		reset = iota
		open  // something waits for a commit
		rest  // nothing does
	)
	type event struct {
		at   time.Duration
		what int
	}
	for name, c := range map[string]struct {
		events []event
		want   bool  // of the last reset
		cause  error // in the end
	}{
		"none":              {events: []event{{0, rest}}},
		"the first":         {events: []event{{0, reset}}, cause: cause},
		"within the limit":  {events: []event{{0, reset}, {2 * time.Minute, reset}, {limit, reset}}, cause: cause},
		"for longer":        {events: []event{{0, reset}, {2 * time.Minute, reset}, {limit + 1, reset}}, want: true, cause: cause},
		"slow to fail":      {events: []event{{0, reset}, {0, rest}, {time.Second, open}, {limit + time.Second, reset}}, want: true, cause: cause},
		"an hour open":      {events: []event{{0, reset}, {time.Hour, open}, {time.Hour + 1, rest}, {time.Hour + 2, reset}}, want: true, cause: cause},
		"a short rest":      {events: []event{{0, reset}, {limit, rest}, {limit + 1, reset}}, want: true, cause: cause},
		"a long rest":       {events: []event{{0, reset}, {limit + 1, rest}}},
		"after a long rest": {events: []event{{0, reset}, {limit + 1, rest}, {limit + 2, reset}, {2*limit + 2, reset}}, cause: cause},
		"too long after a long rest": {
			events: []event{{0, reset}, {limit + 1, rest}, {limit + 2, reset}, {2*limit + 3, reset}}, want: true, cause: cause,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r resets
			var got bool
			for _, e := range c.events {
				if now := start.Add(e.at); e.what == reset {
					got = r.add(now, cause, limit)
				} else {
					r.look(now, e.what == open, limit)
				}
			}
			if got != c.want {
				t.Errorf("too long: %v, want %v", got, c.want)
			}
			if r.cause != c.cause {
				t.Errorf("the cause is %v, want %v", r.cause, c.cause)
			}
		})
	}
}

// mute is a connection on which nothing can be produced; all else goes through.
type mute struct{ net.Conn }

func (m mute) Write(request []byte) (int, error) {
	if binary.BigEndian.Uint16(request[4:]) == uint16(kmsg.Produce) { // behind the frame's size
		return 0, errors.Join(errors.New("no way for records"), m.Close())
	}
	return m.Conn.Write(request)
}

// What never succeeds takes TaskTimeout to fail, so that each failure comes longer than that after the one before.
func TestAnApplicationThatCannotCommitEnds(t *testing.T) {
	c := newCluster(t)
	c.createTopic(c.name+"-lines", 1)
	c.createTopic(c.name+"-counts", 1)
	c.produce(c.name+"-lines", 1, []string{"goes nowhere"})
	dial := c.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return mute{conn}, nil
	}
	i := c.start(newUpperCase(t, c.name), Config{Workers: 1, TaskTimeout: 2 * time.Second})
	i.refused(t)
	if i.app.Progress().Aborts == 0 {
		t.Errorf("Run: %v; want commits that failed before that", i.err)
	}
}
