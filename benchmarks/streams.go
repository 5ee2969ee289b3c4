package main

import (
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// streamWork is a topology over one or two input topics.
type streamWork struct {
	name   string
	inputs []inputSpec // whole ones
	build  func(b *stream.Builder, in []string, out string)
	// budget is the processor time that a record may cost with stores on disk.
	budget time.Duration
	// kafka is what the application half of a record costs Kafka Streams, exactly-once, on the machine of RESULTS.md, with as many records of the same bytes. It is
	// quoted there, not measured here.
	kafka time.Duration
}

const (
	streamKeys   = 100_000
	windowSize   = 10 * time.Second
	windowGrace  = 10 * time.Second
	hopSize      = 60 * time.Second
	sessionGap   = 30 * time.Second
	latePercent  = 5
	us           = time.Microsecond
	shortRecords = 20_000 // of each input in a short run
)

// streamWorks are the operators with state, one at a time. All but the joins take keys by the record.
func streamWorks() []streamWork {
	late := drawnInput(500_000, streamKeys)
	late.late = latePercent
	side, wide := drawnInput(300_000, streamKeys), drawnInput(300_000, 1_000_000)
	return []streamWork{
		{"count", []inputSpec{drawnInput(1_000_000, streamKeys)}, buildCount, 2 * us, 10400},
		{"tumbling", []inputSpec{late}, buildWindows(stream.Tumbling(windowSize)), 4 * us, 27300},
		{"hopping", []inputSpec{late}, buildWindows(stream.Hopping(hopSize, windowSize)), 8 * us, 99400},
		{"session", []inputSpec{late}, buildSessions, 8 * us, 44400},
		{"stream-join", []inputSpec{side, side}, buildStreamJoin, 5 * us, 0},
		{"stream-join-1m", []inputSpec{wide, wide}, buildStreamJoin, 5 * us, 23300},
		{"table-join", []inputSpec{drawnInput(600_000, streamKeys), tableInput(streamKeys)}, buildTableJoin, 3 * us, 0},
		{"table-join-300k", []inputSpec{drawnInput(600_000, 300_000), tableInput(300_000)}, buildTableJoin, 3 * us, 21200},
	}
}

// workNames are the names of all works behind a prefix.
func workNames(prefix string) (names []string) {
	for _, w := range streamWorks() {
		names = append(names, prefix+w.name)
	}
	return names
}

// records counts those of all inputs.
func (w streamWork) records() (n int64) {
	for _, in := range w.inputs {
		n += in.records
	}
	return n
}

// limited is the same work with at most n records of each input.
func (w streamWork) limited(n int64) streamWork {
	inputs := make([]inputSpec, len(w.inputs))
	for i, in := range w.inputs {
		in.records = min(in.records, n)
		inputs[i] = in
	}
	w.inputs = inputs
	return w
}

// rawTopic is a topic of bytes, which no serde costs more than it must.
func rawTopic(name string) stream.Topic[[]byte, []byte] {
	return stream.NewTopic(name, serde.Bytes, serde.Bytes)
}

func countsTopic(name string) stream.Topic[[]byte, int64] {
	return stream.NewTopic(name, serde.Bytes, serde.Int64)
}

func buildCount(b *stream.Builder, in []string, out string) {
	counts := ktable.Count(stream.GroupByKey(stream.From(b, rawTopic(in[0]))), statestore.KeyValue("counts", serde.Bytes, serde.Int64))
	stream.To(ktable.ToStream(counts), countsTopic(out))
}

func buildWindows(windows stream.TimeWindows) func(*stream.Builder, []string, string) {
	return func(b *stream.Builder, in []string, out string) {
		grouped := stream.WindowBy(stream.GroupByKey(stream.From(b, rawTopic(in[0]))), windows.Grace(windowGrace))
		withoutWindow(ktable.CountWindows(grouped, statestore.Window("counts", serde.Bytes, serde.Int64)), out)
	}
}

func buildSessions(b *stream.Builder, in []string, out string) {
	grouped := stream.SessionBy(stream.GroupByKey(stream.From(b, rawTopic(in[0]))), stream.Sessions(sessionGap).Grace(windowGrace))
	withoutWindow(ktable.CountSessions(grouped, statestore.Session("counts", serde.Bytes, serde.Int64)), out)
}

// withoutWindow sends the counts of windows by the key alone.
func withoutWindow(counts *ktable.Table[stream.Windowed[[]byte], int64], out string) {
	stream.To(stream.SelectKey(ktable.ToStream(counts), func(w stream.Windowed[[]byte], _ int64) []byte { return w.Key }), countsTopic(out))
}

func buildStreamJoin(b *stream.Builder, in []string, out string) {
	left, right := stream.From(b, rawTopic(in[0])), stream.From(b, rawTopic(in[1]))
	joined := stream.Join(left, right, both, stream.Within(windowSize).Grace(windowGrace), stream.NewJoinState("join", serde.Bytes, serde.Bytes, serde.Bytes))
	stream.To(joined, rawTopic(out))
}

func buildTableJoin(b *stream.Builder, in []string, out string) {
	rows := ktable.From(b, rawTopic(in[1]), statestore.KeyValue("table", serde.Bytes, serde.Bytes))
	stream.To(ktable.JoinStream(stream.From(b, rawTopic(in[0])), rows, both), rawTopic(out))
}

// both is the number of each of two records.
func both(left, right []byte) []byte {
	return append(append(make([]byte, 0, 2*keyBytes), left[:keyBytes]...), right[:keyBytes]...)
}
