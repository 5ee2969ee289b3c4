package group

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// FuzzApply feeds a record to a coordinator that has a group. Whatever it says, nothing panics, then or later, and what was
// understood survives being written again.
func FuzzApply(f *testing.F) {
	w := stableGroup(f, 2)
	r := commitOf(w.m.groups["g"], 2)
	if err := w.commit(r); err != nil {
		f.Fatal(err)
	}
	for _, l := range w.log {
		f.Add(l.record.Key, l.record.Value, int64(-1))
		f.Add(l.record.Key, l.record.Value, int64(7))
		f.Add(l.record.Key, []byte(nil), int64(-1))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, producer int64) {
		w := stableGroup(t, 2)
		w.m.Apply(entry.Record{Key: key, Value: value}, entry.Producer{ID: producer})
		w.m.Loaded(w.now)
		w.m.ApplyMarker(entry.Marker{Producer: entry.Producer{ID: producer}, Commit: true})
		for _, l := range w.m.List() {
			w.m.Describe(l.Group)
			for _, o := range w.m.FetchAll(l.Group, true) {
				_, _, _ = w.m.DeleteOffsets(w.now, l.Group, []Partition{o.Partition})
			}
			if g := w.m.groups[l.Group]; g != nil && g.written {
				m := New(w.cfg)
				m.Apply(w.m.enc.group(g), entry.NoProducer())
				if got := m.groups[l.Group]; got == nil || got.generation != g.generation || len(got.members) != len(g.members) {
					t.Errorf("group %q of %d members is read back as %+v", l.Group, len(g.members), got)
				}
			}
		}
		for range 20 {
			w.advance(time.Minute)
		}
	})
}

func FuzzSubscription(f *testing.F) {
	f.Add(storyMetadata("+a+bc"))
	f.Add([]byte{0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		topics := map[string]struct{}{}
		addSubscribed(topics, metadata)
		if len(topics) > len(metadata) {
			t.Errorf("%d topics out of %d bytes", len(topics), len(metadata))
		}
	})
}
