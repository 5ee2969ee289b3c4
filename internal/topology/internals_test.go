package topology

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// TestPartitionForIsKafkas uses the hashes that Kafka's own clients compute.
func TestPartitionForIsKafkas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if have := int32(murmur2([]byte(key))); have != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, have, want)
		}
		if have := PartitionFor([]byte(key), 10); have != want&0x7fffffff%10 && have != (want&0x7fffffff)%10 {
			t.Errorf("PartitionFor(%q, 10) = %d, want %d", key, have, (want&0x7fffffff)%10)
		}
	}
}

func TestObservedTimesSurviveACommit(t *testing.T) {
	var a observedTimes
	if a.encode() != nil {
		t.Error("times that nobody has seen are encoded")
	}
	*a.cell("one") = 5
	a.cell("two")
	*a.cell("three") = 1 << 60
	var b observedTimes
	one, two, three := b.cell("one"), b.cell("two"), b.cell("three")
	*one = 7 // another partition's metadata came first
	if err := b.decode(a.encode()); err != nil {
		t.Fatal(err)
	}
	if *one != 7 || *two != -1 || *three != 1<<60 {
		t.Errorf("times are %d, %d, %d, want 7, -1, %d", *one, *two, *three, int64(1)<<60)
	}
	var none observedTimes
	if err := none.decode(a.encode()); err != nil {
		t.Errorf("an operator is gone: %v", err)
	}
	if err := none.decode([]byte{99, 1, 2}); err != nil {
		t.Errorf("a newer version is to be ignored: %v", err)
	}
}

func FuzzObservedTimes(f *testing.F) {
	f.Add([]byte{1, 1, 'a', 5})
	f.Add([]byte{1, 200, 'a', 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		var o observedTimes
		o.cell("a")
		_ = o.decode(b) // garbage is an error or nothing, never a panic
	})
}

// clockEnv is an environment with a clock.
type clockEnv struct{ now int64 }

func (e *clockEnv) TaskID() TaskID { return TaskID{} }
func (e *clockEnv) OpenStore(statestore.Spec) (statestore.Store, error) {
	return nil, errors.New("none")
}
func (e *clockEnv) Partitions(TopicRef) (int32, error)     { return 1, nil }
func (e *clockEnv) Send(TopicRef, int32, *RawRecord) error { return nil }
func (e *clockEnv) Now() int64                             { return e.now }
func (e *clockEnv) RequestCommit()                         {}
func (e *clockEnv) Dropped(string, DropReason)             {}

// topicsEnv remembers where records went.
type topicsEnv struct {
	clockEnv
	sent []string
}

func (e *topicsEnv) Send(t TopicRef, _ int32, r *RawRecord) error {
	e.sent = append(e.sent, t.Name+"="+string(r.Value))
	return nil
}

func TestSinkForgetsTopicsItChoseLongAgo(t *testing.T) {
	env := &topicsEnv{}
	s := &sender[string, string]{task: &Task{}, env: env, at: new(int32), chosen: map[string]*target[string, string]{}}
	s.spec.Choose = func(_ context.Context, r *Record[string, string]) (TopicRef, Serdes[string, string], error) {
		return TopicRef{Name: r.Key}, Serdes[string, string]{Key: serde.String, Value: serde.String}, nil
	}
	var want []string
	for n := range 2*maxChosen + 2 {
		topic, value := strconv.Itoa(n%(maxChosen+1)), strconv.Itoa(n)
		if err := s.sendChosen(&Record[string, string]{Key: topic, Value: value}); err != nil {
			t.Fatal(err)
		}
		want = append(want, topic+"="+value)
		if len(s.chosen) > maxChosen {
			t.Fatalf("%d topics are remembered after %d were chosen, want at most %d", len(s.chosen), n+1, maxChosen)
		}
	}
	if !slices.Equal(env.sent, want) {
		t.Error("a topic that was forgotten did not get its record")
	}
}

// scheduled is a task whose only operator schedules a punctuator.
func scheduled(t *testing.T, env Env, clock Clock, interval int64, fire func(int64) error) (task *Task, cancel *func()) {
	t.Helper()
	g := NewGraph()
	cancel = new(func())
	op := Op{Name: "test"}
	src := AddSource(g, op, "source", SourceSpec{Topics: []TopicRef{{Name: "in"}}}, func(w *Wiring, _ *Node, next Sink[int, int]) Entry {
		advance := w.Advance()
		return func(_ *RawRecord, ts int64) error {
			advance(ts)
			return next(&Record[int, int]{Timestamp: ts})
		}
	})
	AddProcessor(g, op, "tick", []*Node{src}, func(w *Wiring, n *Node, next Sink[int, int]) Sink[int, int] {
		*cancel = w.Schedule(n, Punctuation{Clock: clock, Every: interval, Fire: fire})
		return next
	})
	topo, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	if task, err = topo.Subtopologies()[0].NewTask(env); err != nil {
		t.Fatal(err)
	}
	return task, cancel
}

// TestStreamTimePunctuatorFiresSevenTimesInAMinute is Kafka Streams' answer for records at 1..60 s and an interval of 10 s.
func TestStreamTimePunctuatorFiresSevenTimesInAMinute(t *testing.T) {
	var fired []int64
	task, _ := scheduled(t, &clockEnv{}, StreamTime, 10, func(ts int64) error { fired = append(fired, ts); return nil })
	for ts := int64(1); ts <= 60; ts++ {
		if err := task.Process(0, &RawRecord{Topic: "in"}, ts); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int64{1, 10, 20, 30, 40, 50, 60}; !slices.Equal(fired, want) {
		t.Errorf("fired at %v, want %v", fired, want)
	}
}

func TestWallClockPunctuatorCollapsesMissedSlots(t *testing.T) {
	env := &clockEnv{now: 1003}
	var fired []int64
	task, cancel := scheduled(t, env, WallClock, 10, func(ts int64) error { fired = append(fired, ts); return nil })
	at := func(now int64) {
		t.Helper()
		if err := task.Punctuate(now); err != nil {
			t.Fatal(err)
		}
	}
	if next, ok := task.NextPunctuation(); !ok || next != 1013 {
		t.Errorf("next punctuation at %d (%v), want 1013", next, ok)
	}
	at(1012)
	at(1013)
	at(1057) // 1023 … 1053 are one call
	at(1062)
	at(1063)
	(*cancel)()
	at(1100)
	if want := []int64{1013, 1057, 1063}; !slices.Equal(fired, want) {
		t.Errorf("fired at %v, want %v", fired, want)
	}
	if _, ok := task.NextPunctuation(); ok {
		t.Error("a cancelled punctuator is still due")
	}
}

func TestPunctuatorThatFailsIsAFault(t *testing.T) {
	boom := errors.New("boom")
	task, _ := scheduled(t, &clockEnv{}, WallClock, 1, func(int64) error { return boom })
	err := task.Punctuate(5)
	var f *Fault
	if !errors.As(err, &f) || !errors.Is(err, boom) || f.Topic != "" {
		t.Errorf("the error is %v", err)
	}
	task, _ = scheduled(t, &clockEnv{}, WallClock, 1, func(int64) error { panic(boom) })
	if err := task.Punctuate(5); !errors.As(err, &f) || !errors.Is(err, boom) || len(f.Stack) == 0 {
		t.Errorf("the panic became %v", err)
	}
}

func TestSiteShowsTheFileAndLineOnly(t *testing.T) {
	if s := (Site{File: "/home/me/app/main.go", Line: 12}).String(); s != "main.go:12" {
		t.Errorf("site is %q", s)
	}
	if s := (Site{}).String(); s != "(unknown line)" {
		t.Errorf("no site is %q", s)
	}
}

func TestTaskReportsAStoreThatDoesNotOpen(t *testing.T) {
	g := NewGraph()
	op := Op{Name: "test.Op", Site: Site{File: "main.go", Line: 7}}
	src := AddSource(g, op, "source", SourceSpec{Topics: []TopicRef{{Name: "in"}}}, func(_ *Wiring, _ *Node, _ Sink[int, int]) Entry { return nil })
	g.AddStore(op, src, statestore.KeyValue[int, int]("s", nil, nil))
	topo, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topo.Subtopologies()[0].NewTask(&clockEnv{}); err == nil || err.Error() != `task 0_0: store "s" (main.go:7): none` {
		t.Errorf("the error is %v", err)
	}
}

// TestDueAtOnceAreCalledInKafkasOrder holds the order of calls to what a java.util.PriorityQueue gives.
func TestDueAtOnceAreCalledInKafkasOrder(t *testing.T) {
	for name, c := range map[string]struct {
		intervals []int64
		times     []int64
		want      string
	}{
		"two of one interval":   {[]int64{10, 10}, []int64{1, 10, 20}, "1:01 10:01 20:01"},
		"three of one interval": {[]int64{10, 10, 10}, []int64{1, 10, 20}, "1:021 10:210 20:102"},
		"five of one interval":  {[]int64{10, 10, 10, 10, 10}, []int64{1, 10, 20, 30}, "1:04132 10:32401 20:01234 30:34102"},
		"the sooner first":      {[]int64{100, 50}, []int64{29, 60, 112, 264, 325}, "29:01 60:1 112:01 264:10 325:10"},
	} {
		t.Run(name, func(t *testing.T) {
			var work clockwork
			fired := ""
			for n, interval := range c.intervals {
				work.added = slices.Insert(work.added, 0, &punctuator{node: n, interval: interval, fire: func(int64) error { fired += strconv.Itoa(n); return nil }})
			}
			var got []string
			for _, now := range c.times {
				fired = ""
				if err := work.fire(now); err != nil {
					t.Fatal(err)
				}
				got = append(got, strconv.FormatInt(now, 10)+":"+fired)
			}
			if have := strings.Join(got, " "); have != c.want {
				t.Errorf("called %s, want %s", have, c.want)
			}
		})
	}
}
