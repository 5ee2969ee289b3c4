package transactions_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

// held is a disk on which one write can be made to wait: that of a marker, or of the record that says all are written.
type held struct {
	*vfs.MemFS
	mu sync.Mutex
	// The fields below are guarded by mu.
	suffix string        // of the file's directory that is waited for; empty: none
	came   chan struct{} // closed when the write has come
	open   chan struct{} // closed when it may go on
}

func (h *held) fs() vfs.FS {
	return errorfs.Wrap(h.MemFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileWrite || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		h.mu.Lock()
		hold := h.suffix != "" && strings.HasSuffix(h.PathDir(op.Path), h.suffix)
		came, open := h.came, h.open
		if hold {
			h.suffix = ""
		}
		h.mu.Unlock()
		if hold {
			close(came)
			<-open
		}
		return nil
	}))
}

// next makes the next write into a directory wait. came is closed when it has come; release lets it go on.
func (h *held) next(t *testing.T, suffix string) (came <-chan struct{}, release func()) {
	open := make(chan struct{})
	c := make(chan struct{})
	h.mu.Lock()
	h.suffix, h.came, h.open = suffix, c, open
	h.mu.Unlock()
	release = sync.OnceFunc(func() { close(open) })
	t.Cleanup(release) // before the broker is stopped, which waits for the write
	return c, release
}

// bare is a producer of protocol 2 that does what it is told and no more.
type bare struct {
	t     *testing.T
	b     *brokertest.Broker
	conn  *brokertest.Conn
	id    string
	pid   int64
	epoch int16
}

func newBare(t *testing.T, b *brokertest.Broker, id string) *bare {
	t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey, find.CoordinatorType = 3, id, 1
	p := &bare{t: t, b: b, conn: b.Dial(t), id: id}
	p.conn.Ask(find) // makes __transaction_state
	p.pid, p.epoch = -1, -1
	if err := p.patiently(p.init); err != nil {
		t.Fatalf("InitProducerId: %v", err)
	}
	return p
}

// patiently asks until the answer is neither that the coordinator is not ready nor that markers are on the way.
func (p *bare) patiently(ask func(*brokertest.Conn) error) error {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		switch err := ask(p.conn); {
		case err != kerr.ConcurrentTransactions && err != kerr.CoordinatorLoadInProgress && err != kerr.CoordinatorNotAvailable && err != kerr.NotCoordinator:
			return err
		case time.Now().After(deadline):
			p.t.Fatalf("still refused after %v: %v", patience, err)
		}
	}
}

func (p *bare) init(c *brokertest.Conn) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 5, &p.id, 60000
	req.ProducerID, req.ProducerEpoch = p.pid, p.epoch
	resp := c.Ask(req).(*kmsg.InitProducerIDResponse)
	if resp.ErrorCode == 0 {
		p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// write is the request that writes a record, with one sequence number, to some partitions of t.
func (p *bare) write(seq int32, value string, partitions ...int32) *kmsg.ProduceRequest {
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "t"
	for _, n := range partitions {
		var b record.Builder
		b.AppendRecord(time.Now().UnixMilli(), nil, []byte(value), nil)
		who := record.Producer{ID: record.ProducerID(p.pid), Epoch: record.ProducerEpoch(p.epoch), BaseSequence: seq}
		tp := kmsg.NewProduceRequestTopicPartition()
		tp.Partition, tp.Records = n, b.Finish(who, record.Transactional, record.None)
		t.Partitions = append(t.Partitions, tp)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.TransactionID, req.Acks, req.TimeoutMillis = 12, &p.id, -1, 60000
	req.Topics = []kmsg.ProduceRequestTopic{t}
	return req
}

// written returns the first error of an answer, and the offset in the first partition.
func written(resp kmsg.Response) (offset int64, err error) {
	ps := resp.(*kmsg.ProduceResponse).Topics[0].Partitions
	for _, tp := range ps {
		if err := kerr.ErrorForCode(tp.ErrorCode); err != nil {
			return -1, err
		}
	}
	return ps[0].BaseOffset, nil
}

// produce writes a record and returns its offset.
func (p *bare) produce(seq int32, value string, partitions ...int32) (offset int64) {
	p.t.Helper()
	req := p.write(seq, value, partitions...)
	err := p.patiently(func(c *brokertest.Conn) (err error) {
		offset, err = written(c.Ask(req))
		return err
	})
	if err != nil {
		p.t.Fatalf("produce %s, epoch %d, sequence %d, to %v: %v", value, p.epoch, seq, partitions, err)
	}
	return offset
}

// end ends the transaction and takes the next one's epoch.
func (p *bare) end(commit bool) {
	p.t.Helper()
	if err := p.patiently(func(c *brokertest.Conn) error { return p.tryEnd(c, commit) }); err != nil {
		p.t.Fatalf("EndTxn(%v): %v", commit, err)
	}
}

func (p *bare) tryEnd(c *brokertest.Conn, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 5, p.id, p.pid, p.epoch, commit
	resp := c.Ask(req).(*kmsg.EndTxnResponse)
	if resp.ErrorCode == 0 {
		p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// pendingAt ends a transaction over the three partitions of t, with the answer given, and holds the marker of one of them: those before it are
// written and those after it are not.
func pendingAt(t *testing.T, partition int32, commit bool) (p *bare, disk *held, release func()) {
	t.Helper()
	disk = &held{MemFS: vfs.NewCrashableMem()}
	b := clusterOf(t, 3, broker.Config{FS: disk.fs()})
	p = newBare(t, b, "x")
	p.produce(0, "first", 0, 1, 2)
	p.produce(1, "second", 0, 1, 2)
	came, release := disk.next(t, fmt.Sprintf("%x-%d", topicID(t, b), partition))
	p.end(commit)
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatalf("no marker of partition %d is written", partition)
	}
	p.conn = b.Dial(t) // the other one's goroutine writes the markers
	return p, disk, release
}

func topicID(t *testing.T, b *brokertest.Broker) []byte {
	t.Helper()
	details, err := kadm.NewClient(b.Client(t)).ListTopics(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	id := details["t"].ID
	return id[:]
}

// decisions are run in parallel, with the partition whose marker is the one held.
func decisions(t *testing.T, test func(t *testing.T, partition int32, commit bool)) {
	for _, commit := range []bool{true, false} {
		for partition := range int32(3) {
			t.Run(fmt.Sprintf("commit %v, %d markers written", commit, partition), func(t *testing.T) {
				t.Parallel()
				test(t, partition, commit)
			})
		}
	}
}

// holds checks what was committed in all partitions after the next transaction, which wrote values.
func (p *bare) holds(firstCommitted bool, values ...string) {
	p.t.Helper()
	p.end(true)
	var all []string
	if firstCommitted {
		all = []string{"first", "second"}
	}
	all = append(all, values...)
	last := all[len(all)-1]
	got := committed(p.t, p.b, last, last, last)
	for n := range int32(3) {
		want(p.t, got, n, all...)
	}
}

// Decision 19 and KIP-890: a batch of the next transaction that comes before the markers of the last is neither refused for its sequence number nor
// written before them; when it is told to come again it is the same batch, and once more it is a duplicate.
func TestTheNextTransactionMayComeBeforeTheMarkers(t *testing.T) {
	decisions(t, func(t *testing.T, partition int32, commit bool) {
		p, _, release := pendingAt(t, partition, commit)
		free := []int32{0, 1, 2} // the log of the held marker takes nothing meanwhile
		free = slices.DeleteFunc(free, func(n int32) bool { return n == partition })
		for _, n := range free {
			if _, err := written(p.conn.Ask(p.write(0, "next", n))); err != kerr.ConcurrentTransactions {
				t.Fatalf("produce to partition %d, with the marker of %d on its way: %v, want CONCURRENT_TRANSACTIONS", n, partition, err)
			}
		}
		waiting := p.b.Dial(t)
		early := p.write(0, "next", partition)
		waiting.Send(early)
		release()
		if _, err := written(waiting.Receive(early)); err != nil && err != kerr.ConcurrentTransactions {
			t.Fatalf("the produce that waited for the marker: %v", err)
		}
		at := p.produce(0, "next", 0, 1, 2)
		if again := p.produce(0, "next", 0, 1, 2); again != at {
			t.Errorf("the same batch is written at %d and at %d", at, again)
		}
		p.produce(1, "and on", 0, 1, 2)
		p.holds(commit, "next", "and on")
	})
}

// A client that counts on from the last transaction has lost something, whenever its batch comes.
func TestSequencesThatGoOnAreRefusedBeforeAndAfterTheMarkers(t *testing.T) {
	decisions(t, func(t *testing.T, partition int32, commit bool) {
		p, _, release := pendingAt(t, partition, commit)
		waiting := p.b.Dial(t)
		early := p.write(2, "lost", 0, 1, 2)
		waiting.Send(early)
		release()
		if _, err := written(waiting.Receive(early)); err != kerr.OutOfOrderSequenceNumber && err != kerr.ConcurrentTransactions {
			t.Fatalf("sequence 2 of a new epoch, around the markers: %v", err)
		}
		late := p.write(2, "lost", 0, 1, 2)
		err := p.patiently(func(c *brokertest.Conn) error {
			_, err := written(c.Ask(late))
			return err
		})
		if err != kerr.OutOfOrderSequenceNumber {
			t.Fatalf("sequence 2 of a new epoch, after the markers: %v", err)
		}
		p.produce(0, "next", 0, 1, 2)
		p.holds(commit, "next")
	})
}

// Every other request of the next transaction waits too, and is told to come again when the markers take long.
func TestRequestsThatMeetPendingMarkersWait(t *testing.T) {
	requests := map[string]func(p *bare, c *brokertest.Conn) error{
		"InitProducerId": func(p *bare, c *brokertest.Conn) error { return p.init(c) },
		"AddPartitionsToTxn": func(p *bare, c *brokertest.Conn) error {
			topic := kmsg.NewAddPartitionsToTxnRequestTopic()
			topic.Topic, topic.Partitions = "t", []int32{0, 1}
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, p.id, p.pid, p.epoch
			req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{topic}
			return kerr.ErrorForCode(c.Ask(req).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[1].ErrorCode)
		},
		"AddOffsetsToTxn": func(p *bare, c *brokertest.Conn) error {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 4, p.id, p.pid, p.epoch, "g"
			return kerr.ErrorForCode(c.Ask(req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode)
		},
		"TxnOffsetCommit": func(p *bare, c *brokertest.Conn) error {
			tp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			tp.Partition, tp.Offset = 0, 1
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic, topic.Partitions = "t", []kmsg.TxnOffsetCommitRequestTopicPartition{tp}
			req := kmsg.NewPtrTxnOffsetCommitRequest()
			req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 5, p.id, p.pid, p.epoch, "g"
			req.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
			return kerr.ErrorForCode(c.Ask(req).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
		},
		"EndTxn": func(p *bare, c *brokertest.Conn) error { return p.tryEnd(c, false) },
	}
	for name, ask := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _, release := pendingAt(t, 1, true)
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.Version, find.CoordinatorKey = 3, "g"
			p.conn.Ask(find) // makes __consumer_offsets
			if err := ask(p, p.conn); err != kerr.ConcurrentTransactions {
				t.Fatalf("with markers on their way: %v, want CONCURRENT_TRANSACTIONS", err)
			}
			release()
			if err := p.patiently(func(c *brokertest.Conn) error { return ask(p, c) }); err != nil {
				t.Fatalf("after the markers: %v", err)
			}
			p.produce(0, "next", 0, 1, 2)
			p.holds(true, "next")
		})
	}
}

// T6: a broker that dies between the answer to EndTxn and any of the markers writes them when it is back. A producer that missed the answer gets it
// again, and goes on as one that had it does.
func TestADeathBetweenTheAnswerAndTheMarkers(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprintf("answered %v", answered), func(t *testing.T) {
			decisions(t, func(t *testing.T, partition int32, commit bool) {
				p, disk, release := pendingAt(t, partition, commit)
				left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}) // what was written, flushed or not
				release()
				p.b = brokertest.Start(t, broker.Config{FS: left})
				p.conn = p.b.Dial(t)
				if !answered {
					next := p.epoch
					p.epoch--
					p.end(commit)
					if p.epoch != next {
						t.Fatalf("EndTxn answers epoch %d once and %d when it is repeated", next, p.epoch)
					}
				}
				p.produce(0, "next", 0, 1, 2)
				p.holds(commit, "next")
			})
		})
	}
}
