package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// troubled is a serde that fails at some words: it panics at one and returns an error at the other.
type troubled struct {
	serde.Serde[string]
	panics, fails string
}

func (s troubled) trouble(v string) error {
	switch {
	case s.panics != "" && v == s.panics:
		panic(errUser)
	case s.fails != "" && v == s.fails:
		return errUser
	}
	return nil
}

func (s troubled) Append(dst []byte, v string) ([]byte, error) {
	if err := s.trouble(v); err != nil {
		return dst, err
	}
	return s.Serde.Append(dst, v)
}

func (s troubled) Decode(b []byte) (string, error) {
	if err := s.trouble(string(b)); err != nil {
		return "", err
	}
	return s.Serde.Decode(b)
}

// faulty has a place for each kind of fault: words name it. Counting what is stored follows.
func faulty(c runtimetest.Config, t *testing.T) *runtimetest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	in := stream.NewTopic("in", serde.String, serde.Serde[string](troubled{serde.String, "unread panic", "unread"}))
	words := stream.MapValuesCtx(stream.From(b, in), func(_ context.Context, _, v string) (string, error) {
		switch v {
		case "fail":
			return "", errUser
		case "panic":
			panic(errUser)
		}
		return v, nil
	})
	stream.To(words, stream.NewTopic("out", serde.String, serde.Serde[string](troubled{serde.String, "unwritten panic", "unwritten"})))
	ktable.ToTable(words, statestore.KeyValue("kept", serde.String, serde.Serde[string](troubled{serde.String, "", "unstored"})))
	return runtimetest.Start(t, b, c)
}

// TestEachKindOfFaultAndDecision tries all of them, and looks at what comes out, what is counted and what is put aside.
func TestEachKindOfFaultAndDecision(t *testing.T) {
	for _, c := range []struct {
		word      string
		kind      stream.FaultKind
		reason    runtimetest.DropReason
		op        string
		exception string
		out       int // records that come out though there is the fault
	}{
		{"unread", stream.FaultDeserialization, runtimetest.DropPoison, "stream.From", "deserialization error", 0},
		{"unread panic", stream.FaultDeserialization, runtimetest.DropPoison, "stream.From", "panic", 0},
		{"fail", stream.FaultProcessing, runtimetest.DropFailed, "stream.MapValuesCtx", "processing error", 0},
		{"panic", stream.FaultProcessing, runtimetest.DropFailed, "stream.MapValuesCtx", "panic", 0},
		{"unwritten", stream.FaultProduction, runtimetest.DropUnwritable, "stream.To", "production error", 0},
		{"unwritten panic", stream.FaultProduction, runtimetest.DropUnwritable, "stream.To", "panic", 0},
		{"unstored", stream.FaultProduction, runtimetest.DropUnwritable, "ktable.ToTable", "production error", 1},
	} {
		for _, decision := range []stream.Decision{stream.Fail, stream.Skip, stream.DeadLetter} {
			t.Run(fmt.Sprintf("%s/%v", c.word, decision), func(t *testing.T) {
				asked := 0
				handler := func(f *stream.Fault) stream.Decision {
					asked++
					if f.Kind != c.kind || f.Op != c.op || f.Topic != "in" || f.Offset != 1 || f.Timestamp != 5 || !errors.Is(f, errUser) ||
						f.Record == nil || string(f.Record.Key) != "k" || string(f.Record.Value) != c.word || len(f.Headers) != 1 || !strings.HasSuffix(f.Site.File, "faulthandling_test.go") {
						t.Errorf("the handler gets %+v", f)
					}
					return decision
				}
				d := faulty(runtimetest.Config{Faults: stream.Faults{Deserialization: handler, Processing: handler, Production: handler, DeadLetterTopic: "dead"}}, t)
				pipe := func(v string, at int64) error {
					return d.PipeRaw("in", []byte("k"), []byte(v), at, runtimetest.Header{Key: "h", Value: []byte("1")})
				}
				if err := pipe("good", 1); err != nil {
					t.Fatal(err)
				}
				err := pipe(c.word, 5)
				if asked != 1 {
					t.Errorf("the handler was asked %d times", asked)
				}
				var f *stream.Fault
				if decision == stream.Fail {
					if !errors.As(err, &f) || f.Record != nil || f.Headers != nil {
						t.Errorf("the error is %v", err)
					}
					if n := len(d.OutputRaw("dead")); n != 0 {
						t.Errorf("%d dead letters of a fault that ends the task", n)
					}
					return
				}
				if err = errors.Join(err, pipe("good", 6)); err != nil {
					t.Fatal(err)
				}
				if n := len(d.OutputRaw("out")); n != 2+c.out {
					t.Errorf("%d records came out, want %d", n, 2+c.out)
				}
				if drops := d.Drops(); len(drops) != 1 || drops[0].Reason != c.reason || drops[0].Count != 1 {
					t.Errorf("drops: %+v", drops)
				}
				letters := d.OutputRaw("dead")
				if decision == stream.Skip {
					if len(letters) != 0 {
						t.Errorf("%d dead letters of a record that was skipped", len(letters))
					}
					return
				}
				if len(letters) != 1 {
					t.Fatalf("%d dead letters", len(letters))
				}
				checkLetter(t, letters[0], c.word, c.exception)
			})
		}
	}
}

func checkLetter(t *testing.T, l runtimetest.RawRecord, value, exception string) {
	t.Helper()
	var names []string
	for _, h := range l.Headers {
		names = append(names, h.Key)
	}
	want := []string{"h", "__streams.errors.exception", "__streams.errors.message", "__streams.errors.stacktrace", "__streams.errors.topic", "__streams.errors.partition", "__streams.errors.offset"}
	if !slices.Equal(names, want) {
		t.Fatalf("the headers are %v\nwant %v", names, want)
	}
	h := l.Headers
	if string(l.Key) != "k" || string(l.Value) != value || l.Timestamp != 5 || string(h[0].Value) != "1" || string(h[1].Value) != exception ||
		!strings.Contains(string(h[2].Value), errUser.Error()) || !strings.Contains(string(h[3].Value), "faulthandling_test.go:") ||
		string(h[4].Value) != "in" || string(h[5].Value) != "0" || string(h[6].Value) != "1" {
		t.Errorf("the dead letter is %q=%q@%d with %q", l.Key, l.Value, l.Timestamp, h)
	}
}

// TestFaultOutsideOfRecordsHasALetterToo: a punctuation is of no record, and its letter has none.
func TestFaultOutsideOfRecordsHasALetterToo(t *testing.T) {
	b := stream.NewBuilder()
	stream.Process(stream.From(b, text("in")), func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		p.Every(stream.WallClock, time.Second, func(int64) error { return errUser })
		return func(*stream.Record[string, string]) error { return nil }
	})
	d := runtimetest.Start(t, b, runtimetest.Config{Start: time.UnixMilli(7000), Faults: stream.Faults{Processing: func(f *stream.Fault) stream.Decision {
		if f.Record != nil || f.Topic != "" || f.Op != "stream.Process" {
			t.Errorf("the handler gets %+v", f)
		}
		return stream.DeadLetter
	}, DeadLetterTopic: "dead"}})
	if err := d.AdvanceWallClock(time.Second); err != nil {
		t.Fatal(err)
	}
	letters := d.OutputRaw("dead")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	l := letters[0]
	if l.Key != nil || l.Value != nil || l.Timestamp != 8000 || len(l.Headers) != 6 || l.Headers[3].Value != nil || string(l.Headers[4].Value) != "-1" || string(l.Headers[5].Value) != "-1" {
		t.Errorf("the dead letter is %+v", l)
	}
}

// TestTimesAreNoHandlersMatter: an extractor that fails ends the task whatever the handlers say, but a record that it cannot read is undecodable.
func TestTimesAreNoHandlersMatter(t *testing.T) {
	in := stream.NewTopic("in", serde.String, serde.Serde[string](troubled{serde.String, "", "unread"})).EventTime(func(_, v string, at, _ int64) int64 {
		if v == "no time" {
			panic(errUser)
		}
		return at
	})
	b := stream.NewBuilder()
	stream.To(stream.From(b, in), text("out"))
	asked := 0
	ask := func(*stream.Fault) stream.Decision { asked++; return stream.Skip }
	d := runtimetest.Start(t, b, runtimetest.Config{Faults: stream.Faults{Deserialization: ask, Processing: ask, Production: ask}})
	if err := errors.Join(d.PipeRaw("in", nil, []byte("unread"), 1), d.PipeRaw("in", nil, []byte("good"), 2)); err != nil {
		t.Fatal(err)
	}
	if drops := d.Drops(); asked != 1 || len(drops) != 1 || drops[0].Reason != runtimetest.DropPoison {
		t.Errorf("asked %d times, drops %v", asked, drops)
	}
	var f *stream.Fault
	if err := d.PipeRaw("in", nil, []byte("no time"), 3); !errors.As(err, &f) || f.Kind != stream.FaultTimestamp || !errors.Is(err, errUser) || len(f.Stack) == 0 || asked != 1 {
		t.Errorf("asked %d times, the error is %v", asked, err)
	}
}

// TestHandlersThatFailDecideNothing: one that panics, one that answers nonsense, and one that has nowhere to put a letter.
func TestHandlersThatFailDecideNothing(t *testing.T) {
	for _, c := range []struct {
		handler func(*stream.Fault) stream.Decision
		want    string
	}{
		{func(*stream.Fault) stream.Decision { panic("at a loss") }, "the handler of processing faults: panic: at a loss"},
		{func(*stream.Fault) stream.Decision { return 9 }, "the handler of processing faults decided Decision(9)"},
		{stream.DeadLetterFaults, "the dead letter: no dead-letter topic is configured"},
	} {
		d := faulty(runtimetest.Config{Faults: stream.Faults{Processing: c.handler}}, t)
		err := d.PipeRaw("in", []byte("k"), []byte("fail"), 1)
		if !errors.Is(err, errUser) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error is %v, want both the fault and %q", err, c.want)
		}
	}
}

// Records that fail are put aside, with what went wrong in the headers; the rest goes on.
func ExampleFaults() {
	readings := stream.NewTopic("readings", serde.String, serde.Int64)
	doubled := stream.NewTopic("doubled", serde.String, serde.Int64)
	b := stream.NewBuilder()
	stream.To(stream.MapValues(stream.From(b, readings), func(v int64) int64 { return 2 * v }), doubled)

	d := run(b, runtimetest.Config{Faults: stream.Faults{
		Deserialization: stream.DeadLetterFaults,
		DeadLetterTopic: "readings-dead",
	}})
	defer d.Close()
	check(runtimetest.Pipe(d, readings, "roof", 21, 0))
	check(d.PipeRaw("readings", []byte("roof"), []byte("warm"), 1))
	check(runtimetest.Pipe(d, readings, "roof", 22, 2))
	for _, r := range runtimetest.Output(d, doubled) {
		fmt.Println(r.Key, r.Value)
	}
	for _, r := range d.OutputRaw("readings-dead") {
		fmt.Printf("%s %s\n", r.Key, r.Value)
		for _, h := range r.Headers {
			if h.Key != "__streams.errors.stacktrace" {
				fmt.Printf("  %s: %s\n", h.Key, h.Value)
			}
		}
	}
	// Output:
	// roof 42
	// roof 44
	// roof warm
	//   __streams.errors.exception: deserialization error
	//   __streams.errors.message: value: serde: int64: 4 bytes, want 8
	//   __streams.errors.topic: readings
	//   __streams.errors.partition: 0
	//   __streams.errors.offset: 1
}
