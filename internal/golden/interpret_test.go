package golden_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// interpreter builds the topology of a case over the public API.
type interpreter struct {
	c      *goldenCase
	b      *stream.Builder
	nodes  map[string]any                                             // streamer, tabler, grouper or rowGrouper
	sinks  map[string]func(*runtimetest.RawRecord) (outRecord, error) // by topic: key and value as the case shows them
	stores map[string]storeReader
	// readables are the stores that processors can look into.
	readables map[string]readable
	refused   error           // what the compiler refuses
	made      map[string]bool // the repartition topics that we make under the library's names
	loose     bool            // only what the stores hold in the end is compared
}

// storeReader reads a store of a case.
type storeReader struct {
	all   func(m machine) ([]storeEntry, error)
	query func(m machine, s *caseStep) ([]storeEntry, error)
}

// streamer is a stream of a case, whatever the type of its keys.
type streamer interface {
	filter(p func(k, v text) (bool, error), want bool) streamer
	mapBoth(op *caseOp) streamer
	mapValues(e expr) streamer
	selectKey(e expr) streamer
	flatMap(op *caseOp) streamer
	flatMapValues(list string) streamer
	peek(e expr, end bool) streamer
	merge(o streamer) streamer
	repartition(op *caseOp) streamer
	toTable(in *interpreter, op *caseOp) tabler
	groupByKey(op *caseOp) grouper
	groupBy(op *caseOp) grouper
	to(in *interpreter, topic string)
	toBy(in *interpreter, op *caseOp)
	split(in *interpreter, op *caseOp) any
	join(t tabler, op *caseOp, left bool) streamer
	joinGlobal(in *interpreter, op *caseOp) streamer
	joinStream(in *interpreter, right streamer, op *caseOp) streamer
}

// tabler is a table of a case.
type tabler interface {
	suppress(in *interpreter, op *caseOp) tabler
	filter(in *interpreter, op *caseOp, want bool) tabler
	mapValues(in *interpreter, op *caseOp) tabler
	transformValues(in *interpreter, op *caseOp) tabler
	toStream() streamer
	groupBy(op *caseOp) rowGrouper
	join(in *interpreter, right tabler, op *caseOp) tabler
	joinForeign(in *interpreter, right tabler, op *caseOp) tabler
}

// grouper is a grouped stream of a case.
type grouper interface {
	windowed(w *caseWindow, emit emission) rowGrouper
	count(in *interpreter, op *caseOp) tabler
	aggregate(in *interpreter, op *caseOp, reduce bool) tabler
}

// rowGrouper is a grouped table of a case, or a windowed stream.
type rowGrouper interface {
	count(in *interpreter, op *caseOp) tabler
	aggregate(in *interpreter, op *caseOp, reduce bool) tabler
}

// unsupported ends the interpretation of a case that needs what does not exist.
type unsupported string

func skip(format string, args ...any) { panic(unsupported(fmt.Sprintf(format, args...))) }

// interpret adds all operators of a case to a builder; reason is set when it cannot.
func interpret(c *goldenCase) (in *interpreter, reason string) {
	in = &interpreter{c: c, b: stream.NewBuilder(), nodes: map[string]any{}, sinks: map[string]func(*runtimetest.RawRecord) (outRecord, error){}, stores: map[string]storeReader{}, readables: map[string]readable{}, made: map[string]bool{}}
	defer func() {
		if p := recover(); p != nil {
			u, ok := p.(unsupported)
			if !ok {
				panic(p)
			}
			reason = string(u)
		}
	}()
	in.checkConfig()
	for i := range c.Topology {
		op := &c.Topology[i]
		if n := in.op(op); n != nil {
			in.nodes[op.ID] = n
		}
	}
	return in, ""
}

// smallestCached is less than any entry takes in the library's cache: one that is no larger holds nothing back. What a small one evicts depends on all that lies in it, also
// of what was only read.
const smallestCached = 56

func (in *interpreter) checkConfig() {
	c := in.c.Config
	if c.DeadLetterQueue != "" {
		in.sinks[c.DeadLetterQueue] = deadLetter
	}
	if c.CacheBytes > smallestCached && c.CacheBytes < 1000 {
		skip("eviction from a cache of %d bytes", c.CacheBytes)
	}
}

func (in *interpreter) stream(id string) streamer {
	s, ok := in.nodes[id].(streamer)
	if !ok {
		panic(fmt.Sprintf("golden: %s is a %T", id, in.nodes[id]))
	}
	return s
}

// op adds one operator.
func (in *interpreter) op(op *caseOp) any {
	switch op.Op {
	case "stream":
		return in.source(op)
	case "table":
		return in.table(op)
	case "to":
		if op.TopicFrom != "" {
			in.stream(op.Of).toBy(in, op)
			return nil
		}
		in.stream(op.Of).to(in, op.Topic)
		return nil
	case "globalTable":
		return in.global(op)
	case "split":
		return in.stream(op.Of).split(in, op)
	case "foreach":
		in.stream(op.Of).peek(parseExpr(*op.Value), true)
		return nil
	}
	if op.Op == "cogroup" {
		return &cg{in: in, inputs: op.Inputs}
	}
	switch of := in.nodes[op.Of].(type) {
	case streamer:
		return in.streamOp(in.child(of, op), op)
	case tabler:
		return in.tableOp(of, op)
	case grouper:
		switch op.Op {
		case "windowedBy":
			return of.windowed(op.Window, in.emission(op))
		case "count":
			return of.count(in, op)
		case "reduce", "aggregate":
			return of.aggregate(in, op, op.Op == "reduce")
		}
	case rowGrouper:
		switch op.Op {
		case "count":
			return of.count(in, op)
		case "reduce", "aggregate":
			return of.aggregate(in, op, op.Op == "reduce")
		}
	}
	skip("operator %s", op.Op)
	return nil
}

func (in *interpreter) streamOp(s streamer, op *caseOp) any {
	switch op.Op {
	case "filter":
		return s.filter(parsePredicate(op.If), true)
	case "filterNot":
		return s.filter(parsePredicate(op.If), false)
	case "map":
		return s.mapBoth(op)
	case "mapValues":
		return s.mapValues(parseExpr(*op.Value))
	case "selectKey":
		return s.selectKey(parseExpr(*op.Key))
	case "flatMap":
		return s.flatMap(op)
	case "flatMapValues":
		return s.flatMapValues(op.List)
	case "peek":
		return s.peek(parseExpr(*op.Value), false)
	case "merge":
		return s.merge(in.stream(op.With))
	case "repartition":
		return s.repartition(op)
	case "toTable":
		return s.toTable(in, op)
	case "groupByKey":
		return s.groupByKey(op)
	case "groupBy":
		return s.groupBy(op)
	case "join", "leftJoin":
		t, ok := in.nodes[op.With].(tabler)
		switch {
		case op.Window != nil:
			return s.joinStream(in, in.stream(op.With), op)
		case op.MapKey != "":
			return s.joinGlobal(in, op)
		case !ok:
			skip("%s with what is no table", op.Op)
		}
		return s.join(t, op, op.Op == "leftJoin")
	case "outerJoin":
		return s.joinStream(in, in.stream(op.With), op)
	case "process", "processValues":
		return in.process(s, op)
	}
	skip("operator %s of a stream", op.Op)
	return nil
}

func (in *interpreter) tableOp(t tabler, op *caseOp) any {
	switch op.Op {
	case "filter", "filterNot":
		return t.filter(in, op, op.Op == "filter")
	case "mapValues":
		return t.mapValues(in, op)
	case "transformValues":
		return t.transformValues(in, op)
	case "toStream":
		s := t.toStream()
		if op.Key != nil {
			s = s.selectKey(parseExpr(*op.Key))
		}
		return s
	case "groupBy":
		return t.groupBy(op)
	case "suppress":
		return t.suppress(in, op)
	case "join", "leftJoin", "outerJoin":
		if op.ForeignKey != "" {
			return t.joinForeign(in, in.nodes[op.With].(tabler), op)
		}
		return t.join(in, in.nodes[op.With].(tabler), op)
	}
	skip("operator %s of a table", op.Op)
	return nil
}

// fromValue is the extractor that reads the number behind the last @ of the value.
func fromValue(_, value text, recordTime, _ int64) int64 {
	s := value.String()
	i := strings.LastIndex(s, "@")
	if value.IsNull() || i < 0 {
		return recordTime
	}
	n, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// topic is an input topic with its extractor and options.
func (in *interpreter) topic(name, timestamps string) (stream.Topic[text, text], []stream.SourceOption) {
	types := in.c.Topics[name]
	t := stream.NewTopic(name, textSerde{kindOf(types.Key)}, textSerde{kindOf(types.Value)})
	switch timestamps {
	case "", "failOnInvalid":
		return t, nil
	case "logAndSkip":
		return t, []stream.SourceOption{stream.SkipInvalidTimestamps()}
	case "partitionTime":
		return t, []stream.SourceOption{stream.UsePartitionTime()}
	case "previous":
		return t.EventTime(func(_, _ text, _, partitionTime int64) int64 { return partitionTime }), nil
	case "fromValue":
		return t.EventTime(fromValue), nil
	}
	skip("timestamps %s", timestamps)
	return t, nil
}

func (in *interpreter) source(op *caseOp) streamer {
	names := op.Topics
	if op.Pattern != "" {
		names = []string{op.Pattern}
	}
	if op.Topic != "" {
		names = []string{op.Topic}
	}
	var topics []stream.Topic[text, text]
	var opts []stream.SourceOption
	for _, name := range names {
		t, o := in.topic(name, op.Timestamps)
		topics, opts = append(topics, t), o
	}
	types := in.c.Topics[names[0]]
	s := &st[text]{keys: textSerde{kindOf(types.Key)}, keyKind: kindOf(types.Key), kind: kindOf(types.Value)}
	if op.Pattern != "" {
		s.s = stream.FromPattern(in.b, op.Pattern, topics[0], opts...)
	} else if len(topics) == 1 {
		s.s = stream.From(in.b, topics[0], opts...)
	} else {
		s.s = stream.FromAll(in.b, topics, opts...)
	}
	return s
}

// keyValue makes the handle of a store with a case's options.
func keyValue[K, V any](op *caseOp, c caseConfig, spec *statestore.KeyValueSpec[K, V]) *statestore.KeyValueSpec[K, V] {
	if op.Versioned != nil {
		skip("versioned store")
	}
	if op.Cache != nil && !*op.Cache {
		spec = spec.WithoutCache()
	}
	if op.Logging != nil && !*op.Logging {
		spec = spec.WithoutChangelog()
	}
	if op.StoreType == "inMemory" || op.StoreType == "" && c.StoreType == "inMemory" {
		spec = spec.InMemory()
	}
	return spec
}
