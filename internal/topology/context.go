package topology

import "context"

// Meta is what a function of the ...Ctx form can learn about the record in process and the task.
type Meta struct {
	Task       TaskID
	Topic      string // of the input record; empty in a flush or punctuation
	Partition  int32
	Offset     int64
	Headers    []Header // of the input record, as it was read; valid during the call, and not to be changed
	StreamTime int64    // the task's highest event time so far
}

// taskContext is the context of a task's user functions: the environment's, with the record in process.
type taskContext struct {
	context.Context
	task *Task
}

type metaKey struct{}

// Value answers for the task's own key and passes other keys on.
func (c *taskContext) Value(key any) any {
	if _, ok := key.(metaKey); ok {
		return c.task
	}
	return c.Context.Value(key)
}

// MetaOf returns the metadata of the record in process; ok is false when ctx does not come from a task.
func MetaOf(ctx context.Context) (m Meta, ok bool) {
	t, ok := ctx.Value(metaKey{}).(*Task)
	if !ok {
		return Meta{}, false
	}
	m = Meta{Task: t.id, StreamTime: t.streamTime}
	if t.raw != nil {
		m.Topic, m.Partition, m.Offset, m.Headers = t.raw.Topic, t.raw.Partition, t.raw.Offset, t.raw.Headers
	}
	return m, true
}
