package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// systems returns the log servers that the broker workloads compare, Millrace first. They are started at the first call and live as long as the run: the JVM
// gets faster with its age, and nobody should be measured while it is young.
func (b *bench) systems(ctx context.Context) ([]*system, error) {
	if b.started != nil {
		return b.started, nil
	}
	own, err := b.millrace(ctx, "os")
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, own)
	peer, err := b.kafka(ctx)
	if err != nil {
		return nil, err
	}
	if peer != nil {
		b.started = append(b.started, peer)
	}
	for _, s := range b.started {
		if err := b.warm(ctx, s); err != nil {
			return nil, fmt.Errorf("warm up %s: %w", s.name, err)
		}
	}
	return b.started, nil
}

// warmBytes is what is written to each system before anything is measured.
const (
	warmBytes      = 2 << 30
	warmBytesShort = 1 << 20
)

func (b *bench) warm(ctx context.Context, s *system) error {
	c := s.cluster(b)
	topic := c.name("warm")
	if err := c.open(ctx, topic, 4); err != nil {
		return err
	}
	defer c.drop(ctx, topic)
	for _, bytes := range []int64{16 << 10, 100 << 10} {
		if _, err := rawProduce(ctx, s, rawLoad{topic: topic, partitions: 4, batch: bytes, bytes: b.size(warmBytes, warmBytesShort) / 2}); err != nil {
			return err
		}
	}
	return nil
}

// open makes a topic and returns when each partition has taken a record: a leader that the metadata names may still be on its way.
func (c *cluster) open(ctx context.Context, topic string, partitions int32) error {
	if err := c.create(ctx, topic, partitions); err != nil {
		return err
	}
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	records := make([]*kgo.Record, partitions)
	for i := range records {
		records[i] = &kgo.Record{Partition: int32(i), Value: someValue[:]}
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

// stopSystems ends what systems started.
func (b *bench) stopSystems() error {
	var errs []error
	for _, s := range b.started {
		errs = append(errs, s.stop())
	}
	b.started = nil
	return errors.Join(errs...)
}

// onEach measures one workload on every system in turn and compares each peer with the first, by rate and by the broker's CPU for the same work. Who begins
// changes with the round: the one before leaves dirty pages to be written while the next one works, and memory that it gave back.
func (b *bench) onEach(ctx context.Context, workload, unit string, load func(context.Context, *system) (measure, error)) error {
	all, err := b.systems(ctx)
	if err != nil {
		return err
	}
	got := make([]measure, len(all))
	for i := range all {
		at := (i + b.round) % len(all)
		if got[at], err = b.one(ctx, all[at], load); err != nil {
			return fmt.Errorf("%s on %s: %w", workload, all[at].name, err)
		}
	}
	own := got[0]
	for i, m := range got {
		b.report.add(workload, all[i].name, unit, m)
		if i == 0 {
			continue
		}
		b.report.addRatio(fmt.Sprintf("%s: %s/s, %s / %s", workload, unit, all[0].name, all[i].name), own.rate()/max(m.rate(), 1e-9))
		b.report.addRatio(fmt.Sprintf("%s: broker CPU each, %s / %s", workload, all[0].name, all[i].name), own.perUnit()/max(m.perUnit(), 1e-9))
	}
	return nil
}

// one measures a load on one system. CPU is the broker's.
func (b *bench) one(ctx context.Context, s *system, load func(context.Context, *system) (measure, error)) (measure, error) {
	before, err := cpuOf(s.pid)
	if err != nil {
		return measure{}, err
	}
	m, err := load(ctx, s)
	if err != nil {
		return measure{}, err
	}
	after, err := cpuOf(s.pid)
	m.CPU = after - before
	return m, err
}

// tick is the unit in which Linux tells the CPU time of processes: a hundredth of a second on all platforms that Go runs on. A stretch that is to be compared takes
// a second or more.
const tick = 10 * time.Millisecond

// cpuOf is the processor time that a process has used, user and system.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name may hold blanks; behind its bracket, user and system time are the fields 11 and 12.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
