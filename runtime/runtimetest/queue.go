package runtimetest

import "github.com/millrace-io/millrace/internal/topology"

// queue is a partition as one task reads it.
type queue struct {
	task          *task
	source        int // of the task
	log           *topicLog
	partition     int32
	position      int   // of the next record
	arrived       int   // the records before it are here, where arrivals are drawn
	partitionTime int64 // the highest time that was taken, -1 before any
	idle          int64 // after how long without a record it counts as silent, ms; 0: never
	last          int64 // wall clock of the last record, or of the beginning

	head     *topology.RawRecord // the next record, when its time is known
	headTime int64
	queued   bool // in the heap
}

// advance finds the next record that has a time. Records without one are dropped by the task.
func (q *queue) advance() error {
	records := q.log.partitions[q.partition]
	for q.head == nil && q.position < q.visible() {
		r := &records[q.position]
		q.last = q.task.d.now
		ts, drop, err := q.task.task.Timestamp(q.source, r, q.partitionTime)
		switch {
		case err != nil:
			return err
		case drop:
			q.position++
			q.task.skipped = true
		default:
			q.head, q.headTime = r, ts
		}
	}
	return nil
}

// queueHeap orders the queues that have a head by its time, as a binary heap: of equal times, the one that came first stays in front.
type queueHeap struct{ queues []*queue }

func (h *queueHeap) empty() bool { return len(h.queues) == 0 }

// offer adds a queue if it has a head and is not in the heap.
func (h *queueHeap) offer(q *queue) {
	if q.queued || q.head == nil {
		return
	}
	q.queued = true
	h.queues = append(h.queues, q)
	for i := len(h.queues) - 1; i > 0; {
		up := (i - 1) / 2
		if h.queues[up].headTime <= h.queues[i].headTime {
			break
		}
		h.queues[up], h.queues[i] = h.queues[i], h.queues[up]
		i = up
	}
}

// take removes the queue with the lowest head.
func (h *queueHeap) take() *queue {
	top, last := h.queues[0], len(h.queues)-1
	h.queues[0] = h.queues[last]
	h.queues[last] = nil
	h.queues = h.queues[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && h.queues[c+1].headTime < h.queues[c].headTime {
			c++
		}
		if h.queues[c].headTime >= h.queues[i].headTime {
			break
		}
		h.queues[c], h.queues[i] = h.queues[i], h.queues[c]
		i = c
	}
	top.queued = false
	return top
}
