package main

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

const (
	chainRecords = 20_000_000
	chainShort   = 1_000_000
	// chainTurns is how often the chain and its source take turns, so that whatever else the machine does falls on both.
	chainTurns = 20
)

// chain measures what five operators without state add to a source: a task with nothing around it takes records of 8-byte numbers.
func chain(_ context.Context, b *bench) error {
	with, err := newBareTask(true)
	if err != nil {
		return err
	}
	without, err := newBareTask(false)
	if err != nil {
		return errors.Join(err, with.Close())
	}
	defer without.Close()
	defer with.Close()
	n := b.size(chainRecords, chainShort) / chainTurns
	var five, source measure
	for range chainTurns {
		m, err := feed(with, n)
		if err != nil {
			return err
		}
		five = five.plus(m)
		if m, err = feed(without, n); err != nil {
			return err
		}
		source = source.plus(m)
	}
	b.report.add("chain", "source and five operators", "records", five)
	b.report.add("chain", "source alone", "records", source)
	b.report.addFact("chain, CPU of five operators", "ns", five.perUnit()-source.perUnit())
	return nil
}

func newBareTask(operators bool) (*topology.Task, error) {
	b := stream.NewBuilder()
	s := stream.From(b, stream.NewTopic("in", serde.Int64, serde.Int64))
	if operators {
		s = stream.Filter(s, func(_, v int64) bool { return v >= 0 })
		s = stream.MapValues(s, func(v int64) int64 { return v + 1 })
		s = stream.Map(s, func(k, v int64) (int64, int64) { return v, k })
		s = stream.SelectKey(s, func(k, v int64) int64 { return k ^ v })
		s = stream.Peek(s, func(k, _ int64) { chainSum += k })
	}
	stream.ForEach(s, func(_, v int64) { chainSum += v })
	topo, err := b.Build()
	if err != nil {
		return nil, err
	}
	return topo.Subtopologies()[0].NewTask(bareEnv{})
}

// chainSum takes the results, so that the compiler cannot leave the work out.
var chainSum int64

func feed(task *topology.Task, n int64) (measure, error) {
	number := make([]byte, 8)
	raw := topology.RawRecord{Topic: "in", Key: number, Value: number}
	s := start().countingAllocs()
	for i := range n {
		binary.BigEndian.PutUint64(number, uint64(i))
		raw.Offset, raw.Timestamp = i, i
		if err := task.Process(0, &raw, i); err != nil {
			return measure{}, err
		}
	}
	if chainSum == 0 {
		return measure{}, errors.New("the chain of operators gave nothing")
	}
	return s.stop(n, 0), nil
}

// bareEnv runs a task that keeps and sends nothing.
type bareEnv struct{}

var errBare = errors.New("a task of the chain has neither stores nor outputs")

func (bareEnv) TaskID() topology.TaskID                                  { return topology.TaskID{} }
func (bareEnv) OpenStore(statestore.Spec) (statestore.Store, error)      { return nil, errBare }
func (bareEnv) Partitions(topology.TopicRef) (int32, error)              { return 0, errBare }
func (bareEnv) Send(topology.TopicRef, int32, *topology.RawRecord) error { return errBare }
func (bareEnv) Now() int64                                               { return 0 }
func (bareEnv) RequestCommit()                                           {}
func (bareEnv) Dropped(string, topology.DropReason)                      {}
