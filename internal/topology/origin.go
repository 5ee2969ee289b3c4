package topology

import "github.com/millrace-io/millrace/statestore"

// Origin makes a record that an operator held back the one in process again while it is handed on: what the operators below learn of it, and what a fault names, is
// where it came from, not the record that released it. It belongs to one operator of one task.
type Origin struct {
	task *Task
	raw  RawRecord // without key and value, which are not kept
}

// Origin returns an operator's origin.
func (w *Wiring) Origin() *Origin { return &Origin{task: w.task} }

// Enter puts a record in place of the one in process, which it returns for Leave.
func (o *Origin) Enter(c *statestore.RecordContext) (was *RawRecord) {
	was = o.task.raw
	o.raw = RawRecord{Topic: c.Topic, Partition: c.Partition, Offset: c.Offset, LeaderEpoch: -1, Timestamp: c.Timestamp, Headers: c.Headers}
	o.task.raw = &o.raw
	return was
}

// Leave puts back what Enter returned. After a failure it is not called, so that the fault names the record that failed.
func (o *Origin) Leave(was *RawRecord) { o.task.raw = was }
