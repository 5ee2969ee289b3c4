package transactions

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// memLog is a partition of __transaction_state in memory. It can be told to refuse, or to take its time.
type memLog struct {
	mu      sync.Mutex
	gate    chan struct{} // when not nil, an append waits until it is closed
	data    []byte
	end     int64
	refuse  error
	refused int
	appends int // that were not refused
}

func (l *memLog) Append(_ context.Context, batches []byte) error {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		l.refused++
		return l.refuse
	}
	l.appends++
	for len(batches) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(batches[8:]))
		b := slices.Clone(batches[:size])
		binary.BigEndian.PutUint64(b, uint64(l.end))
		l.end += int64(binary.BigEndian.Uint32(b[23:])) + 1
		l.data = append(l.data, b...)
		batches = batches[size:]
	}
	return nil
}

func (l *memLog) Read(_ context.Context, from int64, _ int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.data
	for len(rest) > 0 {
		if int64(binary.BigEndian.Uint64(rest))+int64(binary.BigEndian.Uint32(rest[23:])) >= from {
			return slices.Clone(rest), nil
		}
		rest = rest[12+binary.BigEndian.Uint32(rest[8:]):]
	}
	return nil, nil
}

func (l *memLog) Bounds() (start, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.end
}

func (l *memLog) setRefuse(err error) {
	l.mu.Lock()
	l.refuse = err
	l.mu.Unlock()
}

// hold makes appends wait; the function it returns lets them go.
func (l *memLog) hold() (open func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	l.gate = gate
	l.mu.Unlock()
	return sync.OnceFunc(func() {
		l.mu.Lock()
		l.gate = nil
		l.mu.Unlock()
		close(gate)
	})
}

func (l *memLog) appended() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appends
}

// copy is what a crash leaves.
func (l *memLog) copy() *memLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &memLog{data: slices.Clone(l.data), end: l.end}
}

// memMarkers are the logs of the transactions' partitions: they take markers, refuse them, or take their time.
type memMarkers struct {
	mu      sync.Mutex
	written []string // in order
	refuse  map[txn.TopicPartition]error
	gate    chan struct{} // when not nil, a write waits until it is closed
	stuck   bool          // a waiting write does not notice its context's end
	tries   int
}

func (w *memMarkers) WriteMarkers(ctx context.Context, m Marker, tps []txn.TopicPartition) []error {
	w.mu.Lock()
	gate, stuck := w.gate, w.stuck
	w.tries++
	w.mu.Unlock()
	errs := make([]error, len(tps))
	if gate != nil {
		done := ctx.Done()
		if stuck {
			done = nil
		}
		select {
		case <-gate:
		case <-done:
			return slices.Repeat([]error{ctx.Err()}, len(tps))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := "abort"
	if m.Commit {
		kind = "commit"
	}
	for i, tp := range tps {
		if errs[i] = w.refuse[tp]; errs[i] == nil {
			w.written = append(w.written, fmt.Sprintf("%s/%d %s %d/%d", tp.Topic, tp.Partition, kind, m.ID, m.Epoch))
		}
	}
	return errs
}

func (w *memMarkers) setRefuse(topic string, partition int32, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse == nil {
		w.refuse = make(map[txn.TopicPartition]error)
	}
	w.refuse[txn.TopicPartition{Topic: topic, Partition: partition}] = err
}

// close makes writes wait; the function it returns lets them go.
func (w *memMarkers) close() (open func()) {
	gate := make(chan struct{})
	w.mu.Lock()
	w.gate = gate
	w.mu.Unlock()
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.gate = nil
		w.mu.Unlock()
		close(gate)
	})
}

func (w *memMarkers) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.written)
}

// ids hands out blocks as the controller does.
type ids struct {
	mu   sync.Mutex
	next int64
	err  error
}

func (i *ids) allocate(context.Context) (first, count int64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return 0, 0, i.err
	}
	i.next += 10
	return i.next - 10, 10, nil
}

// harness is a coordinator of one partition.
type harness struct {
	*Coordinator
	t       testing.TB
	log     *memLog
	markers *memMarkers
	ids     *ids
}

func start(t testing.TB, log *memLog, markers *memMarkers) *harness {
	h := &harness{t: t, log: log, markers: markers, ids: &ids{next: 1000}}
	h.Coordinator = New(Config{
		Partitions: func() int32 { return 1 },
		Allocate:   h.ids.allocate,
		Markers:    markers,
	})
	h.Lead(0, 3, log)
	return h
}

var errOffline = errors.New("the partition has no leader")

func (h *harness) init(id string) txn.Identity {
	h.t.Helper()
	r := h.InitProducerID(context.Background(), txn.InitRequest{ID: id, Timeout: 30 * time.Second, Expected: txn.None})
	if r.Err != nil {
		h.t.Fatalf("InitProducerID(%s): %v", id, r.Err)
	}
	return r.Identity
}

func (h *harness) addErr(id string, who txn.Identity, parts ...int32) error {
	r := txn.AddRequest{ID: id, Identity: who, Protocol: txn.V2}
	for _, p := range parts {
		r.Partitions = append(r.Partitions, txn.TopicPartition{Topic: "t", Partition: p})
	}
	return h.AddPartitions(context.Background(), r)
}

func (h *harness) add(id string, who txn.Identity, parts ...int32) {
	h.t.Helper()
	if err := h.addErr(id, who, parts...); err != nil {
		h.t.Fatalf("AddPartitions(%s, %v): %v", id, who, err)
	}
}

func (h *harness) end(id string, who txn.Identity, commit bool) txn.Identity {
	h.t.Helper()
	r := h.EndTxn(context.Background(), txn.EndRequest{ID: id, Identity: who, Commit: commit, Protocol: txn.V2})
	if r.Err != nil {
		h.t.Fatalf("EndTxn(%s, %v): %v", id, who, r.Err)
	}
	return r.Identity
}

func (h *harness) state(id string) txn.State {
	h.t.Helper()
	tx, err := h.Describe(context.Background(), id)
	if err != nil {
		h.t.Fatalf("Describe(%s): %v", id, err)
	}
	return tx.State
}

func (h *harness) wantMarkers(want ...string) {
	h.t.Helper()
	if got := h.markers.all(); !slices.Equal(got, want) {
		h.t.Fatalf("markers written:\n%q\nwant:\n%q", got, want)
	}
}
