package statestore_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream/serde"
)

// openIn opens a store over an engine of its own.
func openIn[S any](t testing.TB, spec statestore.Spec) S {
	t.Helper()
	p, err := memstore.New().Partition(spec.StoreName(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Open(statestore.Backend{Partition: p, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s.(S)
}

// expectChangelog compares what a store writes with records of Kafka Streams.
func expectChangelog(t *testing.T, s statestore.Store, want ...string) {
	t.Helper()
	var have []string
	err := s.Changelog(func(key, value []byte, timestamp int64) error {
		text := "null"
		if value != nil {
			text = hex.EncodeToString(value)
		}
		have = append(have, fmt.Sprintf("%x=%s@%d", key, text, timestamp))
		return nil
	})
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("changelog\nhave %s\nwant %s\n%v", strings.Join(have, "\n     "), strings.Join(want, "\n     "), err)
	}
}

func try(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestSessionChangelogIsKafkas(t *testing.T) {
	s := openIn[statestore.SessionStore[string, string]](t, statestore.Session("s", serde.String, serde.String).Retain(time.Hour))
	_, err1 := s.Remove("a", 10, 15, 20)
	_, err2 := s.Put("a", 10, 21, "+++1+2++3+4", 20)
	try(t, err1, err2)
	expectChangelog(t, s,
		"61000000000000000f000000000000000a=null@20",
		"610000000000000015000000000000000a=2b2b2b312b322b2b332b34@20")
}

func TestJoinWindowChangelogIsKafkas(t *testing.T) {
	s := openIn[statestore.JoinWindowStore[string, string]](t, statestore.JoinWindow("j", serde.String, serde.String).Retain(time.Hour))
	for _, v := range []string{"A", "A", "B"} {
		_, err := s.Put("k", 10, v)
		try(t, err)
	}
	expectChangelog(t, s, "6b000000000000000a00000001=41@10", "6b000000000000000a00000002=41@10", "6b000000000000000a00000003=42@10")
}

func TestUnmatchedChangelogIsKafkas(t *testing.T) {
	s := openIn[statestore.UnmatchedStore[string, string, string]](t, statestore.Unmatched("u", serde.String, serde.String, serde.String))
	try(t, s.AddLeft("k", 10, "A"), s.AddLeft("k", 10, "A"), s.AddLeft("k", 10, "B"), s.AddRight("bb", 10, "3"), s.AddLeft("z", 100, "z"))
	deleted, err := s.Delete(statestore.Left, "z", 100, 120)
	if !deleted || err != nil {
		t.Fatal(deleted, err)
	}
	expectChangelog(t, s,
		"000000000000000a006262=0100000001000000020033@10",
		"000000000000000a016b=0100000003000000020141000000020141000000020142@10",
		"0000000000000064017a=null@120")
}

func TestBufferChangelogIsKafkas(t *testing.T) {
	spec := statestore.Buffer("b", serde.String, serde.String)
	s := openIn[statestore.BufferStore[string, string]](t, spec)
	from := func(timestamp, offset int64, headers ...statestore.Header) *statestore.RecordContext {
		return &statestore.RecordContext{Timestamp: timestamp, Topic: "l", Offset: offset, Headers: headers}
	}
	change := func(old, new string) statestore.Buffered[string] {
		return statestore.Buffered[string]{Old: old, HasOld: old != "", New: new, HasNew: new != ""}
	}
	try(t, s.Put(13, "b", change("", "1"), from(13, 2)))
	expectChangelog(t, s, "62=000000000000000d0000000000000002000000016c0000000000000000ffffffffffffffff0000000131000000000000000d@13")
	try(t, s.Put(11, "a", change("v1", "v2"), from(11, 2)))
	a := "61=000000000000000b0000000000000002000000016c0000000000000000000000027631fffffffe000000027632000000000000000b@11"
	b := "62=000000000000000d0000000000000002000000016c0000000000000000ffffffffffffffff0000000131000000000000000d@13"
	expectChangelog(t, s, a, b)
	// The second change keeps the slot's time and prior value.
	try(t, s.Put(12, "a", change("v2", "v3"), from(12, 3)))
	a = "61=000000000000000c0000000000000003000000016c0000000000000000000000027631000000027632000000027633000000000000000b@12"
	expectChangelog(t, s, a, b)
	if e, ok, err := s.Pop(30); !ok || err != nil || e.Key != "a" || e.Prior != "v1" || e.Change.Old != "v2" || e.Change.New != "v3" || e.Time != 11 {
		t.Fatalf("popped %+v, %v, %v", e, ok, err)
	}
	expectChangelog(t, s, "61=null@30", b)
	if h := spec.Changelog().Headers; len(h) != 1 || h[0].Key != "v" || !slices.Equal(h[0].Value, []byte{3}) {
		t.Errorf("headers %v, want v = 3", h)
	}
	counts := openIn[statestore.BufferStore[[]byte, int64]](t, statestore.Buffer("c", serde.Bytes, serde.Int64))
	try(t, counts.Put(10, []byte("a\x00\x00\x00\x00\x00\x00\x00\x00"), statestore.Buffered[int64]{HasOld: true, New: 1, HasNew: true},
		from(1, 0, statestore.Header{Key: "h", Value: []byte("1")})))
	expectChangelog(t, counts, "610000000000000000="+
		"00000000000000010000000000000000000000016c000000000000000100000001680000000131000000080000000000000000fffffffe000000080000000000000001000000000000000a@1")
}

func TestGraceBufferChangelogIsKafkas(t *testing.T) {
	s := openIn[statestore.GraceBufferStore[string, string]](t, statestore.GraceBuffer("g", serde.String, serde.String))
	try(t, s.Add("a", "A", &statestore.RecordContext{Timestamp: 4, Topic: "l", Headers: []statestore.Header{{Key: "h", Value: []byte("own")}}}),
		s.Add("z", "z", &statestore.RecordContext{Timestamp: 6, Topic: "l", Offset: 1}))
	first := "0000000000000000046100000001="
	second := "0000000000000000067a00000002=00000000000000060000000000000001000000016c0000000000000000ffffffffffffffff000000017a0000000000000000@6"
	expectChangelog(t, s, first+"00000000000000040000000000000000000000016c00000000000000010000000168000000036f776effffffffffffffff00000001410000000000000000@4", second)
	if _, ok, err := s.Pop(3, 9); ok || err != nil {
		t.Errorf("popped before its time: %v, %v", ok, err)
	}
	if e, ok, err := s.Pop(4, 9); !ok || err != nil || e.Value != "A" || string(e.Context.Headers[0].Value) != "own" {
		t.Errorf("popped %+v, %v, %v", e, ok, err)
	}
	expectChangelog(t, s, first+"null@9", second)
}

// TestVersionedAnswersAsKafka plays what Kafka Streams was asked, with its answers.
func TestVersionedAnswersAsKafka(t *testing.T) {
	open := func(history time.Duration) statestore.VersionedStore[string, string] {
		return openIn[statestore.VersionedStore[string, string]](t, statestore.Versioned("v", serde.String, serde.String, history))
	}
	say := func(s statestore.VersionedStore[string, string], at int64, v string, want int64) {
		t.Helper()
		put := func() (int64, error) { return s.Put("a", v, at) }
		if v == "" {
			put = func() (int64, error) { return s.Delete("a", at) }
		}
		if validTo, err := put(); validTo != want || err != nil {
			t.Errorf("%q from %d on is valid until %d, %v, want %d", v, at, validTo, err, want)
		}
	}
	asOf := func(s statestore.VersionedStore[string, string], at int64, want string) {
		t.Helper()
		v, from, found, err := s.GetAsOf("a", at)
		if have := fmt.Sprint(v, "@", from); err != nil || found != (want != "") || found && have != want {
			t.Errorf("as of %d: %s, %v, %v, want %q", at, have, found, err, want)
		}
	}
	const latest = statestore.StillValid
	s := open(50 * time.Millisecond)
	say(s, 10, "x", latest)
	say(s, 20, "y", latest)
	say(s, 15, "w", 20)
	say(s, 10, "v", 15)
	say(s, 30, "", latest)
	say(s, 25, "u", 30)
	say(s, 5, "t", 10)
	asOf(s, math.MaxInt64, "")
	// As it was said, and the last of it last, so that compaction keeps that.
	expectChangelog(t, s, "61=78@10", "61=79@20", "61=77@15", "61=76@10", "61=null@30", "61=75@25", "61=74@5", "61=null@30")
	say(s, 100, "s", latest)
	say(s, 50, "r", 100)
	say(s, 49, "q", statestore.NotPut)
	asOf(s, math.MaxInt64, "s@100")
	asOf(s, 99, "r@50")
	for _, at := range []int64{22, 27, 30, 12, 5} {
		asOf(s, at, "")
	}

	s = open(time.Second)
	say(s, 10, "", latest)
	say(s, 20, "", latest)
	say(s, 15, "x", 20)
	say(s, 12, "", 15)
	say(s, 30, "y", latest)
	say(s, 25, "", 30)
	asOf(s, math.MaxInt64, "y@30")
	asOf(s, 29, "")
	asOf(s, 24, "")
	asOf(s, 16, "x@15")
	asOf(s, 11, "")
}

// TestDeletionTakesAValueOfItsTimeBack, as in Kafka Streams, so that one which comes late for an earlier time is the latest: also after a restore, whether or not a commit was
// between the two.
func TestDeletionTakesAValueOfItsTimeBack(t *testing.T) {
	spec := statestore.Versioned("v", serde.String, serde.Int64, time.Hour)
	for _, commitAfter := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprint("commit after ", commitAfter), func(t *testing.T) {
			e := memstore.New()
			p, _ := e.Partition("v", 0)
			open := func(p statestore.Partition) statestore.VersionedStore[string, int64] {
				opened, err := spec.Open(statestore.Backend{Partition: p})
				try(t, err)
				return opened.(statestore.VersionedStore[string, int64])
			}
			q, _ := e.Partition("v", 1)
			r, err := spec.Restore(q)
			try(t, err)
			s := open(p)
			commit := func() {
				b, c := e.NewBatch(), e.NewBatch()
				try(t, s.Changelog(func(key, value []byte, timestamp int64) error { return r.Add(c, key, value, timestamp) }))
				try(t, s.Stage(b), b.Commit(), r.Seal(c), c.Commit())
				s.Committed()
			}
			for i, put := range []func() (int64, error){
				func() (int64, error) { return s.Put("a", 1, 20) },
				func() (int64, error) { return s.Delete("a", 20) },
				func() (int64, error) { return s.Put("a", 2, 10) },
				func() (int64, error) { return s.Put("kept", 1, 10) },
				func() (int64, error) { return s.Put("kept", 2, 20) },
				func() (int64, error) { return s.Delete("kept", 20) },
				func() (int64, error) { return s.Put("kept", 3, 15) },
			} {
				if i == commitAfter {
					commit()
				}
				_, err := put()
				try(t, err)
			}
			commit()
			for name, s := range map[string]statestore.VersionedStore[string, int64]{"live": s, "restored": open(q)} {
				if v, from, found, err := s.Get("a"); v != 2 || from != 10 || !found || err != nil {
					t.Errorf("%s: a is %d since %d, %v, %v, want 2 since 10", name, v, from, found, err)
				}
				if v, _, found, err := s.Get("kept"); found || err != nil {
					t.Errorf("%s: kept is %d, %v, want nothing", name, v, err)
				}
				if v, from, found, err := s.GetAsOf("kept", 19); v != 3 || from != 15 || !found || err != nil {
					t.Errorf("%s: kept is %d since %d as of 19, %v, %v, want 3 since 15", name, v, from, found, err)
				}
			}
		})
	}
}

// TestLateVersionIsLoggedBeforeTheLatest: a compacted changelog keeps the last record of a key, which must be the latest version, also over a commit.
func TestLateVersionIsLoggedBeforeTheLatest(t *testing.T) {
	spec := statestore.Versioned("v", serde.String, serde.String, time.Hour)
	e := memstore.New()
	p, _ := e.Partition("v", 0)
	opened, err := spec.Open(statestore.Backend{Partition: p})
	try(t, err)
	s := opened.(statestore.VersionedStore[string, string])
	_, err1 := s.Put("a", "new", 20)
	_, err2 := s.Delete("gone", 20)
	b := e.NewBatch()
	try(t, err1, err2, s.Stage(b), b.Commit())
	s.Committed()
	_, err1 = s.Put("a", "old", 10)
	_, err2 = s.Put("gone", "old", 10)
	try(t, err1, err2)
	expectChangelog(t, s, "61=6f6c64@10", "676f6e65=6f6c64@10", "61=6e6577@20", "676f6e65=null@20")
}

func TestChangelogConfigsAreKafkas(t *testing.T) {
	for _, c := range []struct {
		spec statestore.Spec
		want map[string]string
	}{
		{statestore.Session("s", serde.String, serde.String).Retain(time.Hour), map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "90000000"}},
		{statestore.JoinWindow("s", serde.String, serde.String).Retain(time.Hour), map[string]string{"cleanup.policy": "delete", "retention.ms": "90000000"}},
		{statestore.Unmatched("s", serde.String, serde.String, serde.String), map[string]string{"cleanup.policy": "compact"}},
		{statestore.Buffer("s", serde.String, serde.String), map[string]string{"cleanup.policy": "compact"}},
		{statestore.GraceBuffer("s", serde.String, serde.String), map[string]string{"cleanup.policy": "compact"}},
		{statestore.Versioned("s", serde.String, serde.String, time.Hour), map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "90000000"}},
	} {
		if log := c.spec.Changelog(); !log.Enabled || fmt.Sprint(log.Config) != fmt.Sprint(c.want) {
			t.Errorf("%T: %+v, want %v", c.spec, log, c.want)
		}
	}
}

// TestRestoreRefusesForeignRecords gives each restorer what is not of its format.
func TestRestoreRefusesForeignRecords(t *testing.T) {
	list := "\x01\x00\x00\x00\x01\x00\x00\x00\x02\x01x"
	at := strings.Repeat("\x00", 8)
	for _, c := range []struct {
		spec       statestore.Spec
		key, value string
	}{
		{statestore.Session("st", serde.String, serde.String).Retain(time.Hour), "short", "v"},
		{statestore.Session("st", serde.String, serde.String).Retain(time.Hour), "k" + at + "\x00\x00\x00\x00\x00\x00\x00\x01", "v"},
		{statestore.JoinWindow("st", serde.String, serde.String).Retain(time.Hour), "short", "v"},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), "short", list},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), at + "\x02k", list},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), at + "\x01k", list[:len(list)-1]},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), at + "\x01k", list + "x"},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), at + "\x01k", "\x00" + list[1:]},
		{statestore.Unmatched("st", serde.String, serde.String, serde.String), at + "\x01k", "\x01\xff\xff\xff\xff"},
		{statestore.Buffer("st", serde.String, serde.String), "k", "v"},
		{statestore.Buffer("st", serde.String, serde.String), "k", strings.Repeat("\xff", 60)},
		{statestore.GraceBuffer("st", serde.String, serde.String), "k", strings.Repeat("\x00", 52)},
		{statestore.GraceBuffer("st", serde.String, serde.String), "\x00" + at + "k\x00\x00\x00\x01", "v"},
	} {
		e := memstore.New()
		p, _ := e.Partition("st", 0)
		r, err := c.spec.Restore(p)
		try(t, err)
		if err := r.Add(e.NewBatch(), []byte(c.key), []byte(c.value), 5); err == nil || !strings.Contains(err.Error(), `store "st"`) {
			t.Errorf("%T takes %q = %q: %v", c.spec, c.key, c.value, err)
		}
	}
}

// TestNewStoresAllocateNothing guards what is called for each record.
func TestNewStoresAllocateNothing(t *testing.T) {
	ses := openIn[statestore.SessionStore[string, int64]](t, statestore.Session("s", serde.String, serde.Int64).Retain(time.Hour))
	join := openIn[statestore.JoinWindowStore[string, int64]](t, statestore.JoinWindow("j", serde.String, serde.Int64).Retain(time.Hour))
	ver := openIn[statestore.VersionedStore[string, int64]](t, statestore.Versioned("v", serde.String, serde.Int64, time.Hour))
	now := int64(1000)
	for name, f := range map[string]func(){
		"session put and remove": func() { _, _ = ses.Put("k", now-5, now, 1, now); _, _ = ses.Remove("k", now-5, now, now) },
		"versioned put and get":  func() { _, _ = ver.Put("k", 1, now); _, _, _, _ = ver.Get("k") },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
	// A new record takes memory of the arena, in chunks.
	if n := testing.AllocsPerRun(10_000, func() { now++; _, _ = join.Put("k", now, 1) }); n >= 1 {
		t.Errorf("join window put: %v allocations", n)
	}
}
