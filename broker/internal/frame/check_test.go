package frame

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEveryRequestThatIsServedHasALayout(t *testing.T) {
	eachServed(func(key, version int16) {
		if layout(key, version) == nil {
			t.Errorf("there is no layout for %s version %d", kmsg.NameForKey(key), version)
		}
	})
	for _, v := range [][2]int16{{-1, 0}, {3, -1}, {3, 14}, {0, 2}, {4, 0}, {30000, 0}} {
		if _, err := Check(v[0], v[1], make([]byte, 100)); err == nil {
			t.Errorf("version %d of request %d was walked", v[1], v[0])
		}
	}
}

func TestRequestsAreWalkedToTheirLastByteAndNoShorter(t *testing.T) {
	rng := newRand(t)
	eachServed(func(key, version int16) {
		for range 40 {
			body := random(rng, key, version)
			memory, rest, err := check(key, version, body)
			if err != nil || len(rest) > 0 {
				t.Fatalf("%s version %d: %v, %d of %d bytes left of %x", kmsg.NameForKey(key), version, err, len(rest), len(body), body)
			}
			if took := decode(t, key, version, memory, body); took > memory {
				t.Fatalf("%s version %d: decoding took %d bytes of memory, told were %d, for %x", kmsg.NameForKey(key), version, took, memory, body)
			}
			if _, rest, err := check(key, version, append(body, "more"...)); err != nil || string(rest) != "more" {
				t.Fatalf("%s version %d: with more bytes behind it: %v, %q is left", kmsg.NameForKey(key), version, err, rest)
			}
		}
		body := random(rng, key, version)
		for n := range body {
			if _, err := Check(key, version, body[:n]); err == nil {
				t.Fatalf("%s version %d: %d of %d bytes are a request, of %x", kmsg.NameForKey(key), version, n, len(body), body)
			}
		}
	})
}

// decode decodes bodies that Check let through, for which it told so many bytes of memory, and returns how many that took. It fails when one takes long or the
// decoder refuses it. The count is the whole process's: what seems too much is counted again, since the decoder's part is the same every time and others' is not.
func decode(t testing.TB, key, version int16, told int, bodies ...[]byte) int {
	t.Helper()
	took := decodeOnce(t, key, version, bodies...)
	for range 4 {
		if took <= told {
			break
		}
		took = min(took, decodeOnce(t, key, version, bodies...))
	}
	return took
}

func decodeOnce(t testing.TB, key, version int16, bodies ...[]byte) int {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, body := range bodies {
		begin := time.Now()
		if err := newRequest(key, version).ReadFrom(body); err != nil {
			t.Fatalf("%s version %d is refused by its decoder: %v, for %x", kmsg.NameForKey(key), version, err, body)
		}
		if took, limit := time.Since(begin), decodeTime(len(body)); took > limit {
			t.Fatalf("%s version %d: decoding took %v, allowed are %v, for %x", kmsg.NameForKey(key), version, took, limit, body)
		}
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// decodeTime is far above what decoding n bytes takes on a busy machine, and far below what counting to 2³² takes.
func decodeTime(n int) time.Duration {
	return 2*time.Second + time.Duration(n)*time.Microsecond
}

// huge are counts and lengths that nothing can hold, and some that are negative.
var huge = [][]byte{
	{0xff, 0xff, 0xff, 0xff, 0x0f},                               // 2³²-1, as a uvarint
	{0xff, 0xff, 0xff, 0xff, 0x07},                               // 2³¹-1
	{0xf0, 0xff, 0xff, 0xff, 0x0f},                               // negative for those who read 32 bits
	{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, // more than 32 bits
	{0x7f, 0xff, 0xff, 0xff},                                     // 2³¹-1, as four bytes
	{0xff, 0xff, 0xff, 0xfe},                                     // -2
	{0x7f, 0xff},                                                 // 2¹⁵-1, as two bytes
}

func TestHugeCountsAnywhereAreRefusedOrHarmless(t *testing.T) {
	rng := newRand(t)
	refused, let := 0, 0
	eachServed(func(key, version int16) {
		body := random(rng, key, version)
		for at := range body {
			var passed [][]byte
			told := 0
			for _, changed := range enlarge(body, at) {
				memory, err := Check(key, version, changed)
				if err != nil {
					refused++
					continue
				}
				told += memory
				passed = append(passed, changed)
			}
			let += len(passed)
			if took := decode(t, key, version, told, passed...); took > told {
				t.Fatalf("%s version %d: decoding took %d bytes of memory, told were %d, for %x", kmsg.NameForKey(key), version, took, told, passed)
			}
		}
	})
	if refused == 0 || let == 0 {
		t.Errorf("%d requests were refused and %d let through: the test tests nothing", refused, let)
	}
}

// enlarge returns body with every huge number in place of what is at a position: of one byte, and of as many as the number has.
func enlarge(body []byte, at int) (changed [][]byte) {
	for _, h := range huge {
		for _, replaced := range []int{1, len(h)} {
			if at+replaced <= len(body) {
				changed = append(changed, slices.Concat(body[:at], h, body[at+replaced:]))
			}
		}
	}
	return changed
}

func TestFaultyRequestsAreRefused(t *testing.T) {
	const (
		heartbeat = "\x02g\x00\x00\x00\x01\x02m\x00"                       // v4, up to its tagged fields
		fetch     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // max wait to isolation level
		session   = "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01"         // session to rack
	)
	for name, c := range map[string]struct {
		key, version int16
		body         string
		ok           bool
	}{
		"no tagged fields":                   {12, 4, heartbeat + "\x00", true},
		"tagged fields in order":             {12, 4, heartbeat + "\x02\x01\x00\x05\x01x", true},
		"more tagged fields than bytes":      {12, 4, heartbeat + "\xff\xff\xff\xff\x0f", false},
		"a tagged field twice":               {12, 4, heartbeat + "\x02\x05\x00\x05\x00", false},
		"tagged fields out of order":         {12, 4, heartbeat + "\x02\x05\x00\x01\x00", false},
		"a tagged field beyond the end":      {12, 4, heartbeat + "\x01\x05\x02x", false},
		"a number without end":               {12, 4, heartbeat + "\x80", false},
		"a number of more than 32 bits":      {12, 4, heartbeat + "\x80\x80\x80\x80\x10", false},
		"the longest string":                 {12, 4, "\x80\x80\x02" + strings.Repeat("g", 32767) + "\x00\x00\x00\x01\x02m\x00\x00", true},
		"a string that no record can hold":   {12, 4, "\x81\x80\x02" + strings.Repeat("g", 32768) + "\x00\x00\x00\x01\x02m\x00\x00", false},
		"null for a group":                   {12, 4, "\x00\x00\x00\x00\x01\x02m\x00\x00", false},
		"null for a group, two bytes":        {12, 0, "\xff\xff\x00\x00\x00\x01\x00\x00", false},
		"a length below null":                {12, 3, "\x00\x01g\x00\x00\x00\x01\x00\x01m\xff\xfe", true},
		"null topics where they mean all":    {3, 1, "\xff\xff\xff\xff", true},
		"null topics where they mean naught": {3, 0, "\xff\xff\xff\xff", false},
		"a count below null":                 {3, 1, "\xff\xff\xff\xfe", true},
		"a count above the bytes":            {3, 1, "\x00\x00\x00\x02\x00\x01x", false},
		"null for assignment bytes":          {14, 0, "\x00\x01g\x00\x00\x00\x01\x00\x01m\x00\x00\x00\x01\x00\x01m\xff\xff\xff\xff", false},
		"known tagged field":                 {1, 15, fetch + session + "\x01\x00\x02\x02x", true},
		"known tagged field too long":        {1, 15, fetch + session + "\x01\x00\x03\x02xx", false},
		"known tagged field too short":       {1, 15, fetch + session + "\x01\x00\x01\x03x", false},
		"replica state":                      {1, 15, fetch + session + "\x01\x01\x0d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00", true},
		"replica state with a huge count":    {1, 15, fetch + session + "\x01\x01\x11\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\x0f", false},
		"replica state before its version":   {1, 13, "\x00\x00\x00\x00" + fetch + session + "\x01\x01\x0d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00", false},
		"no cursor":                          {75, 0, "\x01\x00\x00\x00\x01\xff\x00", true},
		"a cursor":                           {75, 0, "\x01\x00\x00\x00\x01\x01\x02t\x00\x00\x00\x01\x00\x00", true},
		"a cursor that may be there":         {75, 0, "\x01\x00\x00\x00\x01\xfe\x00", false},
		"a cursor that is not there":         {75, 0, "\x01\x00\x00\x00\x01", false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Check(c.key, c.version, []byte(c.body)); (err == nil) != c.ok {
				t.Errorf("%s version %d is checked with %v, should pass: %t", kmsg.NameForKey(c.key), c.version, err, c.ok)
			}
		})
	}
}

func TestHeaderTagsAreSteppedOver(t *testing.T) {
	for header, ok := range map[string]bool{
		"\x00": true, "\x01\x07\x02ab": true, "\x02\x00\x00\x01\x01x": true,
		"": false, "\x01": false, "\x01\x07\x05ab": false, "\x02\x01\x00\x01\x00": false, "\xff\xff\xff\xff\x0f": false,
	} {
		bytes := []byte(header)
		if ok {
			bytes = append(bytes, "body"...)
		}
		rest, err := HeaderTags(bytes)
		if (err == nil) != ok || ok && string(rest) != "body" {
			t.Errorf("%x: %v, %q is left; should pass: %t", header, err, rest, ok)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	describe := func(groups int) []byte { // DescribeGroups v5, whose names may be empty: one byte makes an element
		b := binary.AppendUvarint(nil, uint64(groups)+1)
		b = append(b, bytes.Repeat([]byte{1}, groups)...)
		return append(b, 0, 0)
	}
	memory, err := Check(int16(kmsg.DescribeGroups), 5, describe(1000))
	if err != nil || memory < 1000*16 || memory > 1000*1024 {
		t.Errorf("a thousand groups take %d bytes, %v", memory, err)
	}
	if _, err := Check(int16(kmsg.DescribeGroups), 5, describe(1<<20)); err == nil {
		t.Error("a million groups in a megabyte are let through")
	}
	tags := append([]byte("\x02g\x00\x00\x00\x01\x02m\x00"), binary.AppendUvarint(nil, 1<<20)...)
	for tag := range uint64(1 << 20) {
		tags = append(binary.AppendUvarint(tags, tag), 0)
	}
	if _, err := Check(int16(kmsg.Heartbeat), 4, tags); err == nil {
		t.Error("a million unknown tagged fields are let through")
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	rng := newRand(t)
	eachServed(func(key, version int16) {
		body := random(rng, key, version)
		if n := testing.AllocsPerRun(5, func() { Check(key, version, body) }); n > 0 {
			t.Errorf("%s version %d: %v allocations", kmsg.NameForKey(key), version, n)
		}
	})
}

// FuzzGuard: what the guard lets through is decoded soon and in the memory that it told.
func FuzzGuard(f *testing.F) {
	rng := newRand(f)
	eachServed(func(key, version int16) { f.Add(key, version, random(rng, key, version)) })
	recordedBodies(f, func(key, version int16, body []byte) { f.Add(key, version, body) })
	served := map[[2]int16]bool{}
	eachServed(func(key, version int16) { served[[2]int16{key, version}] = true })
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if !served[[2]int16{key, version}] {
			return
		}
		memory, err := Check(key, version, body)
		if err != nil {
			return
		}
		if memory > MaxMemory {
			t.Fatalf("%d bytes of memory are more than the most", memory)
		}
		if took := decode(t, key, version, memory, body); took > memory {
			t.Fatalf("decoding took %d bytes of memory, told were %d", took, memory)
		}
	})
}
