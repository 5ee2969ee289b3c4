package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	restartBytes      = 1 << 30
	restartBytesShort = 8 << 20
	manyPartitions    = 1000
	manyShort         = 50
)

// brokerStart measures a broker process from exec to its answers: the first time, after a kill that left a gigabyte, and with a thousand partitions after a clean
// stop; and the memory that it holds at rest each time.
func brokerStart(ctx context.Context, b *bench) error {
	dir, err := os.MkdirTemp(b.dir, "start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, step := range []func(context.Context, string) error{b.coldStart, b.startAfterKill, b.startWithMany, b.coldKafka} {
		if err := step(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// fact notes a figure of a workload that is asked for.
func (b *bench) fact(workload, name, unit string, value float64) {
	if b.wants(workload) {
		b.report.addFact(workload+", "+name, unit, value)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *bench) coldStart(ctx context.Context, dir string) error {
	p, err := b.launch(ctx, filepath.Join(dir, "cold"))
	if err != nil {
		return err
	}
	err = answers(ctx, p.address)
	b.fact("broker-start", "cold, to the first answer", "ms", milliseconds(time.Since(p.began)))
	rest(ctx, idleFor)
	b.fact("broker-memory", "idle", "MiB", residentMiB(p.cmd.Process.Pid))
	return errors.Join(err, p.end(syscall.SIGTERM))
}

// startAfterKill kills a broker that has just written a gigabyte, and waits for the next one's first acknowledged write.
func (b *bench) startAfterKill(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "killed")
	p, err := b.launch(ctx, data)
	if err != nil {
		return err
	}
	topic, err := b.fill(ctx, p)
	b.fact("broker-memory", "after a gigabyte", "MiB", residentMiB(p.cmd.Process.Pid))
	if err = errors.Join(err, p.end(syscall.SIGKILL)); err != nil {
		return err
	}
	if p, err = b.launch(ctx, data); err != nil {
		return err
	}
	c := cluster{brokers: []string{p.address}}
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err == nil {
		err = cl.ProduceSync(ctx, &kgo.Record{Value: someValue[:]}).FirstErr()
		cl.Close()
	}
	b.fact("broker-start", "after kill -9, to the first acknowledged write", "ms", milliseconds(time.Since(p.began)))
	return errors.Join(err, p.end(syscall.SIGTERM))
}

func (b *bench) fill(ctx context.Context, p *process) (topic string, err error) {
	s := &system{address: p.address, pid: p.cmd.Process.Pid}
	c := s.cluster(b)
	topic = c.name("start")
	if err := c.open(ctx, topic, 4); err != nil {
		return "", err
	}
	_, err = rawProduce(ctx, s, rawLoad{topic: topic, partitions: 4, batch: 100 << 10, bytes: b.size(restartBytes, restartBytesShort)})
	return topic, err
}

func (b *bench) startWithMany(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "many")
	p, err := b.launch(ctx, data)
	if err != nil {
		return err
	}
	n := b.size(manyPartitions, manyShort)
	s := &system{address: p.address, pid: p.cmd.Process.Pid}
	c := s.cluster(b)
	topic := c.name("many")
	err = c.open(ctx, topic, int32(n)) // a record in each, so that there is something to open
	if err = errors.Join(err, p.end(syscall.SIGTERM)); err != nil {
		return err
	}
	if p, err = b.launch(ctx, data); err != nil {
		return err
	}
	err = leads(ctx, p.address, topic, int(n))
	b.fact("broker-start", fmt.Sprintf("after a clean stop with %d partitions, to the first answer", n), "ms", milliseconds(time.Since(p.began)))
	rest(ctx, idleFor)
	b.fact("broker-memory", fmt.Sprintf("%d partitions", n), "MiB", residentMiB(p.cmd.Process.Pid))
	return errors.Join(err, p.end(syscall.SIGTERM))
}

// coldKafka is Apache Kafka's start with a formatted and otherwise new directory.
func (b *bench) coldKafka(ctx context.Context, dir string) error {
	script, ok, err := b.kafkaScript(ctx)
	if err != nil || !ok {
		return err
	}
	data := filepath.Join(dir, "kafka")
	port, err := freePorts()
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"start", data, strconv.Itoa(port)}, {"stop", data}} { // formats the directory
		if out, err := exec.CommandContext(ctx, script, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("kafka %v: %w\n%s", args, err, out)
		}
	}
	cmd := exec.Command(script, "run", "kafka.Kafka", filepath.Join(data, "server.properties"))
	cmd.Env = append(os.Environ(), "KAFKA_HEAP="+kafkaHeap)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	err = answers(ctx, fmt.Sprintf("127.0.0.1:%d", port))
	b.fact("broker-start", "kafka, after a clean stop without topics, to the first answer", "ms", milliseconds(time.Since(began)))
	rest(ctx, idleFor)
	b.fact("broker-memory", "kafka, idle", "MiB", residentMiB(cmd.Process.Pid))
	if stopErr := cmd.Process.Signal(syscall.SIGTERM); stopErr != nil {
		return errors.Join(err, stopErr)
	}
	_ = cmd.Wait() // it ends by the signal, which counts as a failure
	return err
}

// rest leaves the broker alone.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// answerEvery is how often a server that does not listen yet is asked.
const answerEvery = 2 * time.Millisecond

// answers returns when the server at an address has answered a Metadata request.
func answers(ctx context.Context, address string) error { return leads(ctx, address, "", 0) }

// leads returns when the server says that a topic's partitions have leaders.
func leads(ctx context.Context, address, topic string, partitions int) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := asksOnce(ctx, address, topic, partitions)
		if err == nil {
			return nil
		}
		if rest(ctx, answerEvery); ctx.Err() != nil {
			return fmt.Errorf("no answer from %s: %w", address, err)
		}
	}
}

func asksOnce(ctx context.Context, address, topic string, partitions int) error {
	c := cluster{brokers: []string{address}}
	cl, err := c.client(kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	if topic == "" {
		return cl.Ping(ctx)
	}
	m, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return err
	}
	led := 0
	for _, p := range m.Topics[topic].Partitions {
		if p.Leader >= 0 && p.Err == nil {
			led++
		}
	}
	if led < partitions {
		return fmt.Errorf("%s has %s of %d partitions led", topic, strconv.Itoa(led), partitions)
	}
	return nil
}
