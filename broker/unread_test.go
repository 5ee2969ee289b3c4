package broker_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// unread is a listener whose clients take no answer: what the server writes waits until the connection is closed, or fails at once.
type unread struct {
	net.Listener
	fail  bool          // writes fail at once
	begun chan struct{} // receives when the server begins to write
	over  chan struct{} // closed when no write waits any longer
}

func (l *unread) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &unreadConn{Conn: c, ln: l, closed: make(chan struct{})}, nil
}

type unreadConn struct {
	net.Conn
	ln     *unread
	once   sync.Once
	closed chan struct{}
}

var errUnread = errors.New("the client takes no answer")

func (c *unreadConn) Write([]byte) (int, error) {
	select {
	case c.ln.begun <- struct{}{}:
	default:
	}
	if !c.ln.fail {
		select {
		case <-c.closed:
		case <-c.ln.over:
		}
	}
	return 0, errUnread
}

func (c *unreadConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestACommitCountsWhateverBecomesOfItsClient (T5): who reads what is committed does not wait for the producer to take its answer. The connections have no deadline
// for writes: only what the server does by itself helps.
func TestACommitCountsWhateverBecomesOfItsClient(t *testing.T) {
	for name, c := range map[string]struct {
		fail bool // the answer cannot be written
		then func(*brokertest.Broker)
	}{
		"it does not read":                           {},
		"its connection breaks":                      {fail: true},
		"it does not read, and the server is closed": {then: func(b *brokertest.Broker) { b.Server.Close(); b.Ended(); b.Resume() }},
		"it does not read, and the server is killed": {then: func(b *brokertest.Broker) { b.Kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const partitions = 3
			createTopic(t, b, "t", partitions, nil)
			end := openTransaction(ctx, t, b, "t", partitions)

			inner, err := b.Net.Listen("unread:9092")
			if err != nil {
				t.Fatal(err)
			}
			ln := &unread{Listener: inner, fail: c.fail, begun: make(chan struct{}, 1), over: make(chan struct{})}
			defer close(ln.over)
			go b.Server.Serve(ln)
			client, err := b.Net.Dial(ctx, "", "unread:9092")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write(kmsg.NewRequestFormatter().AppendRequest(nil, end, 1)); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ln.begun:
			case <-ctx.Done():
				t.Fatal("the end of the transaction was not answered")
			}
			if c.then != nil {
				c.then(b)
			}
			reader := b.Client(t, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			for n := 0; n < partitions; {
				n += reader.PollFetches(ctx).NumRecords()
				if ctx.Err() != nil {
					t.Fatalf("%d of %d committed records can be read", n, partitions)
				}
			}
		})
	}
}

// openTransaction writes a record to each partition of a topic in one transaction, and returns the request that commits it.
func openTransaction(ctx context.Context, t *testing.T, b *brokertest.Broker, topic string, partitions int32) *kmsg.EndTxnRequest {
	t.Helper()
	const id = "x"
	producer := b.Client(t, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		if err := producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.Commit = 5, id, true
	var err error
	if end.ProducerID, end.ProducerEpoch, err = producer.ProducerID(ctx); err != nil {
		t.Fatal(err)
	}
	return end
}
