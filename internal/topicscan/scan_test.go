package topicscan

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long a test waits for what should happen at once. It is less than a silent log is waited for, so that such a wait is a failure.
const patience = silence / 2

// values reads the stub's topic to its end.
func (s *stub) values(t *testing.T) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl := s.client()
	parts, err := Bounds(ctx, cl, stubTopic, true)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	err = Read(ctx, cl, stubTopic, true, parts, func(r *kgo.Record) error {
		values = append(values, string(r.Value))
		return nil
	})
	return values, err
}

func TestReadEndsWhereTheLastOffsetsHaveNoRecord(t *testing.T) {
	for name, last := range map[string]func(*stub){
		"a record":                 func(*stub) {},
		"a marker":                 (*stub).addMarker,
		"an emptied batch":         func(s *stub) { s.addEmptied(3) },
		"emptied batches in a row": func(s *stub) { s.addEmptied(1); s.addEmptied(1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.add("a", "b")
			s.addEmptied(2)
			s.add("c")
			last(s)
			got, err := s.values(t)
			if want := []string{"a", "b", "c"}; err != nil || !slices.Equal(got, want) {
				t.Errorf("read %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestTopicWithoutRecordsIsReadAtOnce(t *testing.T) {
	s := newStub(t)
	s.addEmptied(2)
	if got, err := s.values(t); err != nil || len(got) != 0 {
		t.Errorf("read %q, %v", got, err)
	}
	s.start = s.end
	s.asked = nil
	if got, err := s.values(t); err != nil || len(got) != 0 || len(s.asked) != 0 {
		t.Errorf("read %q, %v, with fetches at %v", got, err, s.asked)
	}
}

func TestReadStopsAtItsEndWithinABatch(t *testing.T) {
	s := newStub(t)
	s.add("a", "b", "c")
	s.add("d")
	var got []string
	err := Read(t.Context(), s.client(), stubTopic, false, []Part{{0, 1, 2}}, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"b"}) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReadEndsWithTheErrorOfItsCaller(t *testing.T) {
	s := newStub(t)
	s.add("a", "b")
	enough, calls := errors.New("enough"), 0
	err := Read(t.Context(), s.client(), stubTopic, false, []Part{{0, 0, 2}}, func(*kgo.Record) error {
		calls++
		return enough
	})
	if err != enough || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestReadGoesOnAfterWhatPasses(t *testing.T) {
	s := newStub(t)
	s.add("a")
	s.add("b")
	failures := []int16{kerr.NotLeaderForPartition.Code, kerr.UnknownTopicOrPartition.Code, kerr.OffsetNotAvailable.Code}
	s.onFetch = func(at int64) (code int16) {
		if at == 1 && len(failures) > 0 {
			code, failures = failures[0], failures[1:]
		}
		return code
	}
	if got, err := s.values(t); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOffsetsDeletedMeanwhileArePassedOver(t *testing.T) {
	s := newStub(t)
	s.add("a")
	s.add("b")
	s.add("c")
	s.onFetch = func(at int64) int16 {
		if at == 1 {
			s.start = 2
		}
		return 0
	}
	if got, err := s.values(t); err != nil || !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReadDoesNotGoOnInAnotherLog(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stub) int16
		text   string
	}{
		"made again":            {func(s *stub) int16 { s.id = [16]byte{2}; return 0 }, "deleted and made again"},
		"cut off":               {func(*stub) int16 { return kerr.OffsetOutOfRange.Code }, "ends before that"},
		"closed to this client": {func(*stub) int16 { return kerr.TopicAuthorizationFailed.Code }, "TOPIC_AUTHORIZATION_FAILED"},
		"damaged":               {func(s *stub) int16 { s.batches[1][len(s.batches[1])-1] ^= 1; return 0 }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.add("a")
			s.add("b")
			s.onFetch = func(at int64) int16 {
				if at == 0 {
					return 0
				}
				return c.change(s)
			}
			if got, err := s.values(t); err == nil || !strings.Contains(err.Error(), c.text) || !slices.Equal(got, []string{"a"}) {
				t.Errorf("read %q, %v, want a and %q", got, err, c.text)
			}
		})
	}
}

// An end that nobody reaches, as that of a log that has lost its tail, is not waited for without end.
func TestSilenceEndsARead(t *testing.T) {
	s := newStub(t)
	s.add("a")
	sc := &scan{cl: s.client(), topic: stubTopic, decompressor: kgo.DefaultDecompressor(), silence: time.Nanosecond}
	err := sc.part(t.Context(), Part{0, 0, 5}, func(*kgo.Record) error { return nil })
	if !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "the end is at 5") {
		t.Errorf("ended with %v", err)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	s := newStub(t)
	s.add("a")
	ctx, cancel := context.WithCancel(t.Context())
	s.onFetch = func(int64) int16 { cancel(); return kerr.NotLeaderForPartition.Code }
	if err := Read(ctx, s.client(), stubTopic, true, []Part{{0, 0, 1}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
