package golden_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/diskstore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
)

var dir = flag.String("golden", "testdata", "directory of the cases")

// TestGolden plays every case of a directory and compares with the library's answers.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(*dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("there is no case in %s", *dir)
	}
	skipped := map[string]int{}
	for _, f := range files {
		t.Run(filepath.Base(f[:len(f)-len(".json")]), func(t *testing.T) {
			c, err := readCase(f)
			if err != nil {
				t.Fatal(err)
			}
			differs(c)
			for _, m := range modes {
				if reason := playMode(t, c, m); reason != "" {
					skipped[reason]++
					t.Skip("not covered: " + reason)
				}
			}
		})
	}
	report(t, len(files), skipped)
}

// report prints what was skipped and why.
func report(t *testing.T, all int, skipped map[string]int) {
	n := 0
	var lines []string
	for reason, count := range skipped {
		n += count
		lines = append(lines, fmt.Sprintf("%4d %s", count, reason))
	}
	slices.Sort(lines)
	fmt.Printf("golden: %d cases, %d played, %d skipped for what does not exist yet\n", all, all-n, n)
	for i := len(lines) - 1; i >= 0; i-- {
		fmt.Println("golden: skipped", lines[i])
	}
}

// mode is a way to run a case. All of them give the same answers.
type mode struct {
	name  string
	open  func() (statestore.Engine, error)
	crash bool // after each step: what is not committed is lost
	lose  bool // and the engine too: the stores come back from their changelogs
}

var modes = []mode{
	{name: "memstore", open: inMemory},
	{name: "memstore crashed", open: inMemory, crash: true},
	{name: "memstore restored", open: inMemory, crash: true, lose: true},
	{name: "diskstore", open: onDisk},
	{name: "diskstore crashed", open: onDisk, crash: true},
	{name: "diskstore restored", open: onDisk, crash: true, lose: true},
}

func inMemory() (statestore.Engine, error) { return memstore.New(), nil }

// onDisk opens a diskstore in memory-backed files, so that a case takes no time.
func onDisk() (statestore.Engine, error) {
	return diskstore.Open("state", diskstore.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
}

func playMode(t *testing.T, c *goldenCase, m mode) (reason string) {
	t.Run(m.name, func(t *testing.T) { reason = play(t, c, m) })
	return reason
}

// play runs one case; reason is set when it cannot be interpreted.
func play(t *testing.T, c *goldenCase, m mode) (reason string) {
	defer func() {
		if p := recover(); p != nil {
			u, ok := p.(unsupported)
			if !ok {
				panic(p)
			}
			reason = string(u)
		}
	}()
	in, reason := interpret(c)
	if reason != "" {
		return reason
	}
	topology, err := in.b.Build()
	err = errors.Join(err, in.refused)
	if c.Expect.Error != nil && c.Expect.Error.Step == nil {
		if err == nil {
			t.Errorf("built, but %s is to be refused", show(c.Expect.Error))
		}
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range topology.Internal() {
		in.made[i.Ref.Name] = true
	}
	d, err := runtimetest.New(topology, in.config(m.open))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	in.play(t, &driven{d: d, crash: m.crash && !in.forgets(m.lose), lose: m.lose})
	return ""
}

func (in *interpreter) config(open func() (statestore.Engine, error)) runtimetest.Config {
	topics := map[string]int{}
	for name := range in.c.Topics {
		topics[name] = 1
	}
	return runtimetest.Config{Open: open, App: "golden", OneStreamTime: true, Partitions: topics, Start: time.UnixMilli(in.c.Config.WallClock), WriteBack: in.c.Config.CacheBytes > 0, HoldBytes: in.c.Config.CacheBytes, Faults: in.faults()}
}

// faults are the handlers of a case.
func (in *interpreter) faults() (f stream.Faults) {
	onFault := stream.SkipFaults
	if dead := in.c.Config.DeadLetterQueue; dead != "" {
		onFault, f.DeadLetterTopic = stream.DeadLetterFaults, dead
	}
	if in.c.Config.DeserializationHandler == "continue" {
		f.Deserialization = onFault
	}
	if in.c.Config.ProcessingHandler == "continue" {
		f.Processing = onFault
	}
	f.Deserialization = in.skipInGlobals(f.Deserialization)
	return f
}

// skipInGlobals makes a handler skip what a global table cannot decode: the library's driver gives global tables a handler of its own, which does, and leaves no dead
// letter. The library itself asks the handler that is configured.
func (in *interpreter) skipInGlobals(other func(*stream.Fault) stream.Decision) func(*stream.Fault) stream.Decision {
	var topics []string
	for _, op := range in.c.Topology {
		if op.Op == "globalTable" {
			topics = append(topics, op.Topic)
		}
	}
	if topics == nil {
		return other
	}
	return func(f *stream.Fault) stream.Decision {
		switch {
		case slices.Contains(topics, f.Topic):
			return stream.Skip
		case other == nil:
			return stream.Fail
		}
		return other(f)
	}
}

// play plays the case to its end, and reports whether it gets there.
func (in *interpreter) play(t *testing.T, m machine) bool {
	if !in.steps(t, m) {
		return false
	}
	in.end(t, m)
	if !in.loose {
		in.internal(t, m)
	}
	return true
}

// steps plays the steps and reports whether the case goes on to its end.
func (in *interpreter) steps(t *testing.T, m machine) bool {
	dropped := 0
	for i := range in.c.Steps {
		s := &in.c.Steps[i]
		got, err := in.step(m, i)
		if e := in.c.Expect.Error; e != nil && e.Step != nil && *e.Step == i {
			if err == nil {
				t.Errorf("step %d: no error, but it is to fail", i)
			}
			return false
		}
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		var out []outRecord
		for _, topic := range sortedKeys(in.sinks) {
			some, err := in.results(m, topic)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			out = append(out, some...)
		}
		if have, want := show(out), show(s.Expect.Out); have != want && !in.loose {
			t.Errorf("step %d: out\nhave %s\nwant %s", i, have, want)
		}
		drops, known := m.drops()
		if have := total(drops) - dropped; known && have != s.Expect.Dropped && !in.loose {
			t.Errorf("step %d: %d dropped, want %d: %v", i, have, s.Expect.Dropped, drops)
		}
		dropped = total(drops)
		if s.Query != nil && !in.loose {
			in.compareGot(t, i, s, got)
		}
		if err := m.interrupt(i); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if t.Failed() {
			return false
		}
	}
	return true
}

// results returns what reached an output topic since the last call.
func (in *interpreter) results(m machine, topic string) (out []outRecord, err error) {
	raw, err := m.written(topic)
	if err != nil {
		return nil, err
	}
	for i := range raw {
		r := &raw[i]
		o, err := in.sinks[topic](r)
		if err != nil {
			return nil, fmt.Errorf("topic %s, offset %d: %w", topic, r.Offset, err)
		}
		o.Topic, o.TS = topic, r.Timestamp
		for _, h := range r.Headers {
			if h.Key == stackHeader || h.Key == messageHeader { // left out of the cases
				continue
			}
			pair := [2]*string{&h.Key, nil}
			if h.Value != nil {
				v := string(h.Value)
				if class, ok := classes[v]; ok && h.Key == exceptionHeader {
					v = class
				}
				pair[1] = &v
			}
			o.Headers = append(o.Headers, pair)
		}
		out = append(out, o)
	}
	return out, nil
}

// Headers of dead letters.
const (
	exceptionHeader = "__streams.errors.exception"
	messageHeader   = "__streams.errors.message"
	stackHeader     = "__streams.errors.stacktrace"
)

// classes are the library's classes where our dead letters name a type of Go.
var classes = map[string]string{
	"deserialization error": "org.apache.kafka.common.errors.SerializationException",
	"golden_test.userFault": "UserFault",
}

// deadLetter shows a dead letter, which is the bytes of an input record.
func deadLetter(raw *runtimetest.RawRecord) (o outRecord, err error) {
	if raw.Key != nil {
		key := hex.EncodeToString(raw.Key)
		o.Key = &key
	}
	if raw.Value != nil {
		value := hex.EncodeToString(raw.Value)
		o.Value = &value
	}
	return o, nil
}

// forgets tells whether a crash may change what a case gives, in the library too: an interval by the wall clock begins anew, and so does what a processor counts
// outside of its stores, and the order of several punctuators that are due at once.
func (in *interpreter) forgets(lost bool) bool {
	scheduled := 0
	for _, op := range in.c.Topology {
		if op.Clock == "wall" || op.Times > 0 {
			return true
		}
		if op.Clock == "stream" {
			scheduled++
		}
	}
	return lost && in.unlogged() || in.volatile() || in.c.Config.EmitIntervalMs != 0 || scheduled > 1
}

// volatile tells whether a store of the case is in memory, where a crash takes it, and has no changelog to come back from.
func (in *interpreter) volatile() bool {
	return in.unlogged() && (in.c.Config.StoreType == "inMemory" || slices.ContainsFunc(in.c.Topology, func(op caseOp) bool { return op.StoreType == "inMemory" }))
}

// unlogged tells whether a store of the case has no changelog to come back from.
func (in *interpreter) unlogged() bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool { return op.Logging != nil && !*op.Logging })
}

func (in *interpreter) step(m machine, i int) (got []storeEntry, err error) {
	s := &in.c.Steps[i]
	switch {
	case s.Pipe != nil:
		return nil, in.pipe(m, s)
	case s.AdvanceWallClock != nil:
		return nil, m.advance(ms(*s.AdvanceWallClock))
	case s.Query != nil:
		return m.query(in, i)
	}
	return nil, fmt.Errorf("a step of no kind")
}

func (in *interpreter) pipe(m machine, s *caseStep) error {
	types := in.c.Topics[*s.Pipe]
	key, err := rawPart(s.Key, s.KeyHex, kindOf(types.Key))
	if err != nil {
		return err
	}
	value, err := rawPart(s.Value, s.ValueHex, kindOf(types.Value))
	if err != nil {
		return err
	}
	var headers []runtimetest.Header
	for _, h := range s.Headers {
		v := []byte(nil)
		if h[1] != nil {
			v = []byte(*h[1])
		}
		headers = append(headers, runtimetest.Header{Key: *h[0], Value: v})
	}
	return m.pipe(*s.Pipe, key, value, s.TS, headers)
}

// rawPart is the bytes of a key or value.
func rawPart(v, hexed *string, k kind) ([]byte, error) {
	switch {
	case hexed != nil:
		b, err := hex.DecodeString(*hexed)
		return append([]byte{}, b...), err
	case v == nil:
		return nil, nil
	case k == num:
		n, err := strconv.ParseInt(*v, 10, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	}
	return append([]byte{}, *v...), nil
}

func (in *interpreter) compareGot(t *testing.T, i int, s *caseStep, got []storeEntry) {
	var want []storeEntry
	if raw := s.Expect.Got; len(raw) > 0 && raw[0] == '{' {
		var one storeEntry
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		want = []storeEntry{one}
	} else if len(raw) > 0 {
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
	}
	if have, want := show(got), show(want); have != want && !(len(got) == 0 && want == "null" || want == "[]") {
		t.Errorf("step %d: got\nhave %s\nwant %s", i, have, want)
	}
}

// end compares the stores and the total of drops.
func (in *interpreter) end(t *testing.T, m machine) {
	if in.c.Expect.Error != nil {
		t.Errorf("no error, but %s", show(in.c.Expect.Error))
		return
	}
	for _, name := range sortedKeys(in.c.Expect.Stores) {
		have, err := m.rows(in, name)
		if err != nil {
			t.Fatal(err)
		}
		if have, want := show(have), show(in.withoutCached(name, in.c.Expect.Stores[name])); have != want && !(have == "null" && want == "[]") {
			t.Errorf("store %s\nhave %s\nwant %s", name, have, want)
		}
	}
	if drops, known := m.drops(); known && total(drops) != in.c.Expect.Dropped && !in.loose {
		t.Errorf("%d dropped, want %d", total(drops), in.c.Expect.Dropped)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
