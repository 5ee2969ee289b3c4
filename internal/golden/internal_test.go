package golden_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// internal compares what was written to the internal topics that we name as the library does. Repartition topics must be equal, byte by byte. A changelog of
// ours has one record per key and commit where the library's has one per change: what we wrote for a key must be among what the library wrote, in its
// order, and end with the same record, so that a restore from either gives the same store.
func (in *interpreter) internal(t *testing.T, m machine) {
	if _, differ := differenceOf(in.c.Name); differ {
		return
	}
	for _, topic := range sortedKeys(in.c.Expect.Internal) {
		_, driver := m.(*driven)
		var want []string
		for _, r := range in.c.Expect.Internal[topic] {
			// The library writes the headers of a record to the changelogs of joins too, where nothing reads them.
			bare := strings.HasSuffix(topic, joinChangelog) || strings.HasSuffix(topic, "-subscription-store-changelog")
			headers := []any{}
			// Of stores in the format with headers it also writes those of deletions.
			bare = bare || in.c.Config.StoreFormat == "headers" && r[1] == nil && strings.HasSuffix(topic, "-changelog")
			if len(r) > 3 && !bare {
				headers = r[3].([]any)
			}
			want = append(want, rawShown(r[0], r[1], r[2], headers))
		}
		var have []string
		raw, err := m.written("golden-" + topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range raw {
			headers := []any{}
			for _, h := range r.Headers {
				headers = append(headers, []any{h.Key, hexOrNil(h.Value)})
			}
			have = append(have, rawShown(hexOrNil(r.Key), hexOrNil(r.Value), float64(r.Timestamp), headers))
		}
		if in.processed(topic) {
			have = firsts(have)
		}
		if history, ok := in.history(topic); ok {
			want = notTooOld(want, history)
		}
		want = in.kept(topic, want)
		switch {
		case !in.made[topic]: // named by the library's counter, or merged by its optimiser
		case !driver && (in.suppressed(topic) || strings.HasSuffix(topic, graceChangelog)):
			// Buffered records are written with their offsets, which a transaction's markers shift.
		case !driver && in.divided(): // their order over all partitions is not told
		case strings.HasSuffix(topic, "-repartition"), strings.HasSuffix(topic, "-topic"):
			if !slices.Equal(have, want) {
				t.Errorf("topic %s\nhave %v\nwant %v", topic, have, want)
			}
		case strings.HasSuffix(topic, joinChangelog) && !strings.HasSuffix(topic, "-shared"+joinChangelog):
			if r := beside(have, want); r != "" {
				t.Errorf("topic %s: %s\nhave %v\nwant %v", topic, r, have, want)
			}
		case in.processed(topic):
			// The library also logs what a processor puts too late, which it hides at once.
			if r := missing(have, want); r != "" {
				t.Errorf("topic %s: %s\nhave %v\nwant %v", topic, r, have, want)
			}
		case in.versioned(topic):
			if h, w := said(have), said(want); !maps.Equal(h, w) {
				t.Errorf("topic %s says at last\nhave %v\nwant %v", topic, h, w)
			}
		case in.suppressed(topic):
			have, want = timeless(have), timeless(want)
			if in.c.Config.CacheBytes > 0 {
				have, want = originless(have), originless(want)
			}
			if key := outOfLine(have, want); key != "" {
				t.Errorf("topic %s, key %s\nhave %v\nwant %v", topic, key, have, want)
			}
		case strings.HasSuffix(topic, graceChangelog):
			if key := outOfLine(untimed(have), untimed(want)); key != "" {
				t.Errorf("topic %s, key %s\nhave %v\nwant %v", topic, key, have, want)
			}
		case strings.HasSuffix(topic, "-changelog"):
			if key := outOfLine(have, want); key != "" {
				t.Errorf("topic %s, key %s\nhave %v\nwant %v", topic, key, have, want)
			}
		}
	}
}

// divided tells whether the case has a topic of several partitions.
func (in *interpreter) divided() bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool { return op.Partitions > 1 })
}

// versioned tells whether a topic is the changelog of a versioned store of the case.
func (in *interpreter) versioned(topic string) bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool {
		return (op.Versioned != nil || op.Kind == "versioned") && op.Store+"-changelog" == topic
	})
}

// processed tells whether a topic is the changelog of a processor's store that refuses what comes too late.
func (in *interpreter) processed(topic string) bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool {
		return (op.Kind == "versioned" || op.Kind == "distinct") && op.Store+"-changelog" == topic
	})
}

// missing returns a record of ours that the library has not written, or not in this order among those of its key.
func missing(have, want []string) string {
	byKey := map[string][]string{}
	for _, w := range want {
		key, _, _ := strings.Cut(w, "=")
		byKey[key] = append(byKey[key], w)
	}
	for _, h := range have {
		key, _, _ := strings.Cut(h, "=")
		i := slices.Index(byKey[key], h)
		if i < 0 {
			return h
		}
		byKey[key] = byKey[key][i+1:]
	}
	return ""
}

// history is how far back the versioned store of a changelog reaches; ok is false for another's.
func (in *interpreter) history(topic string) (history float64, ok bool) {
	for i := range in.c.Topology {
		if op := &in.c.Topology[i]; op.Versioned != nil && op.Store+"-changelog" == topic {
			history, ok = float64(op.history().Milliseconds()), true
		}
	}
	return history, ok
}

// notTooOld leaves out what is older than the history. The library writes such a record to the changelog, although its store does not take it; ours does not,
// since a compacted changelog would keep it in place of the latest version.
func notTooOld(all []string, history float64) (out []string) {
	observed := -1.0
	for _, r := range all {
		var at float64
		if _, err := fmt.Sscanf(r[strings.LastIndex(r, "@")+1:], "%g", &at); err != nil {
			panic(err)
		}
		if observed = max(observed, at); at >= observed-history {
			out = append(out, r)
		}
	}
	return out
}

// kept leaves out what a store of windows or sessions hides as expired when it is written. The library writes it to the changelog all the same.
func (in *interpreter) kept(topic string, all []string) (out []string) {
	retention, timeAt := in.retention(topic)
	if retention == 0 {
		return all
	}
	observed := int64(-1)
	for _, r := range all {
		key, _, _ := strings.Cut(r, "=")
		at := timeInKey(key, timeAt)
		if observed = max(observed, at); at > observed-retention {
			out = append(out, r)
		}
	}
	return out
}

// timeInKey is the time in a key of windows or sessions, at a place counted from its end.
func timeInKey(hexed string, timeAt int) int64 {
	b, err := hex.DecodeString(hexed)
	if err != nil {
		panic(err)
	}
	return int64(binary.BigEndian.Uint64(b[len(b)-timeAt:]))
}

// Where the time is in the keys of windows and of sessions, counted from their end.
const (
	windowTimeAt  = 12
	sessionTimeAt = 16
)

// retention is how long the store of a changelog keeps windows or sessions, and where the time is in its keys, counted from their end.
func (in *interpreter) retention(topic string) (retention int64, timeAt int) {
	for i := range in.c.Topology {
		op := &in.c.Topology[i]
		by := slices.IndexFunc(in.c.Topology, func(w caseOp) bool { return w.Op == "windowedBy" && w.ID == op.Of })
		if by < 0 || op.Store+"-changelog" != topic {
			continue
		}
		w := in.c.Topology[by].Window
		switch w.Type {
		case "tumbling", "hopping":
			retention, timeAt = w.Size+w.Grace, windowTimeAt
		case "sliding":
			retention, timeAt = 2*w.Diff+w.Grace, windowTimeAt
		case "session":
			retention, timeAt = w.Gap+w.Grace, sessionTimeAt
			if in.closes(op) { // ours keeps sessions that may still change
				retention++
			}
		}
		if op.Retention != nil {
			retention = *op.Retention
		}
	}
	return retention, timeAt
}

// said is the last thing that the changelog of a versioned store says of each key and time, which is what a restore makes of it. Ours says the latest version of a key
// again after one of its past, so that a compacted changelog keeps the latest.
func said(all []string) map[string]string {
	last := map[string]string{}
	for _, r := range all {
		key, rest, _ := strings.Cut(r, "=")
		value, at, _ := strings.Cut(rest, "@")
		at, _, _ = strings.Cut(at, " ") // the headers are not kept with a version
		last[key+"@"+at] = value
	}
	return last
}

// firsts leaves out what has been there before. Ours says the latest version of a key again after one of its past, so that a compacted changelog keeps the latest.
func firsts(all []string) (out []string) {
	for _, r := range all {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// joinChangelog ends the names of the changelogs of stream-stream joins.
const joinChangelog = "-join-store-changelog"

// beside returns a record in the changelog of one side of a join that the library has not written, or not in this order among those of its key and time. Ours
// are sorted within a commit. The library also writes null values and records that it hides at once as too old; both use up sequence numbers, the last four bytes of
// a key, which are left out therefore.
func beside(have, want []string) string {
	byKey := map[string][]string{}
	for _, w := range want {
		key, value := withoutSequence(w)
		byKey[key] = append(byKey[key], value)
	}
	for _, h := range have {
		key, value := withoutSequence(h)
		i := slices.Index(byKey[key], value)
		if i < 0 {
			return h
		}
		byKey[key] = byKey[key][i+1:]
	}
	return ""
}

// graceChangelog ends the name of the changelog of records that wait for a table. The library's records have no time there, and their sequence numbers go on over
// what has left.
const graceChangelog = "-Buffer-changelog"

func untimed(all []string) (out []string) {
	for _, r := range all {
		key, value := withoutSequence(r)
		value, _, _ = strings.Cut(value, "@")
		out = append(out, key+"="+value)
	}
	return out
}

func withoutSequence(shown string) (key, value string) {
	key, value, _ = strings.Cut(shown, "=")
	return key[:len(key)-8], value
}

func hexOrNil(b []byte) any {
	if b == nil {
		return nil
	}
	return hex.EncodeToString(b)
}

func rawShown(key, value, ts any, headers []any) string {
	return fmt.Sprintf("%v=%v@%v %v", key, value, ts, headers)
}

// outOfLine returns a key whose records in a changelog of ours are no subsequence of the library's with the same end.
func outOfLine(have, want []string) string {
	byKey := func(all []string) map[string][]string {
		m := map[string][]string{}
		for _, r := range all {
			k, _, _ := strings.Cut(r, "=")
			m[k] = append(m[k], r)
		}
		return m
	}
	ours, theirs := byKey(have), byKey(want)
	for _, key := range append(sortedKeys(ours), sortedKeys(theirs)...) {
		h, w := ours[key], theirs[key]
		if len(h) == 0 || len(w) == 0 || h[len(h)-1] != w[len(w)-1] {
			return key
		}
		for _, r := range h {
			i := slices.Index(w, r)
			if i < 0 {
				return key
			}
			w = w[i+1:]
		}
	}
	return ""
}

// suppressed tells whether a topic is the changelog of a suppressed table's buffer. The library leaves it to the producer when its records were written.
func (in *interpreter) suppressed(topic string) bool {
	return slices.ContainsFunc(in.c.Topology, func(op caseOp) bool { return op.Op == "suppress" && topic == op.Name+"-store-changelog" })
}

// originless leaves out where the changes in a buffer came from: behind a cache the library knows it, and ours does not. A value begins with
// time 8 | offset 8 | length of the topic 4 | topic | partition 4.
func originless(all []string) (out []string) {
	for _, r := range all {
		if key, value, _ := strings.Cut(r, "="); len(value) > 2*(8+8+4) {
			n, err := strconv.ParseInt(value[2*16:2*20], 16, 32)
			if err != nil {
				panic(err)
			}
			r = key + "=" + value[:2*8] + "…" + value[2*(20+n+4):]
		}
		out = append(out, r)
	}
	return out
}

// timeless leaves out when records were written.
func timeless(all []string) (out []string) {
	for _, r := range all {
		bare, _, _ := strings.Cut(r, "@")
		out = append(out, bare)
	}
	return out
}
