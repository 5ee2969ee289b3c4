package runtimetest

import (
	"errors"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

func (d *Driver) commitDue() bool {
	return d.config.CommitEvery > 0 && d.now-d.lastCommit >= d.config.CommitEvery.Milliseconds()
}

// commitAll commits every task as one transaction.
func (d *Driver) commitAll() error { return d.commit(d.tasks...) }

// commit flushes the tasks, writes their changelogs, makes everything that was sent visible, applies the staged state, and remembers the positions: the order
// in which an application does it, with nothing in between that could fail.
func (d *Driver) commit(tasks ...*task) error {
	d.commitNow, d.lastCommit = false, d.now
	for _, t := range tasks {
		if err := t.task.Flush(); err != nil {
			return err
		}
	}
	for _, t := range tasks {
		if err := t.writeChangelogs(); err != nil {
			return err
		}
	}
	if err := d.publish(); err != nil {
		return err
	}
	for _, t := range tasks {
		if err := t.stage(); err != nil {
			return err
		}
		t.saved, t.skipped = t.position(), false
	}
	return nil
}

// writeChangelogs appends what changed in the stores to their changelogs.
func (t *task) writeChangelogs() error {
	for i, st := range t.task.Stores() {
		l := t.stores[i].changelog
		if l == nil {
			continue
		}
		marks := t.stores[i].decl.Spec.Changelog().Headers
		err := st.Changelog(func(key, value []byte, timestamp int64) error {
			headers := marks
			if value == nil {
				headers = nil
			}
			l.append(t.id.Partition, copyRecord(&topology.RawRecord{Key: key, Value: value, Timestamp: timestamp, Headers: headers}), true)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publish makes sent records visible, and gives them to the tasks that read their topics.
func (d *Driver) publish() error {
	pending := d.pending
	d.pending = nil
	for _, p := range pending {
		if err := d.deliver(p.log, p.partition, p.record, true); err != nil {
			return err
		}
	}
	return nil
}

// deliver appends a record to a topic and tells its readers.
func (d *Driver) deliver(l *topicLog, partition int32, r topology.RawRecord, output bool) error {
	l.append(partition, r, output)
	if g := d.globalOf(l); g != nil {
		return g.catchUp()
	}
	for _, q := range l.readersOf(partition) {
		if err := q.advance(); err != nil {
			return err
		}
		d.heads.offer(q)
	}
	return nil
}

// stage applies the staged state of a task's stores, all stores of one engine in one batch.
func (t *task) stage() error {
	for _, engine := range []statestore.Engine{t.d.engine, t.d.memory} {
		if err := t.stageTo(engine); err != nil {
			return err
		}
	}
	for _, st := range t.task.Stores() {
		st.Committed()
	}
	return nil
}

func (t *task) stageTo(engine statestore.Engine) (err error) {
	var b statestore.Batch
	for i, st := range t.task.Stores() {
		s := &t.stores[i]
		if s.engine != engine {
			continue
		}
		if b == nil {
			b = engine.NewBatch()
			defer func() { err = errors.Join(err, b.Close()) }()
		}
		if err := st.Stage(b); err != nil {
			return err
		}
		if end, ok := t.reached(s); ok {
			if err := s.setCheckpoint(b, end); err != nil {
				return err
			}
		}
	}
	if b == nil {
		return nil
	}
	return b.Commit()
}

// reached is how far of its changelog a store is; ok is false when it has none.
func (t *task) reached(s *openStore) (end int, ok bool) {
	if s.changelog != nil {
		return len(s.changelog.partitions[t.id.Partition]), true
	}
	for _, q := range t.queues {
		if s.source != nil && q.log == s.source {
			return q.position, true
		}
	}
	return 0, false
}
