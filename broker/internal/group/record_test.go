package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every version of Kafka's offset records is read as franz-go writes it.
func TestOffsetsOfEveryVersionAreRead(t *testing.T) {
	committed, expires := time.UnixMilli(1_700_000_000_123), time.UnixMilli(1_700_000_999_000)
	for version := int16(0); version <= 4; version++ {
		v := kmsg.OffsetCommitValue{
			Version: version, Offset: 1 << 40, LeaderEpoch: 7, Metadata: "a note", CommitTimestamp: committed.UnixMilli(),
			ExpireTimestamp: expires.UnixMilli(), TopicID: [16]byte{1, 2, 3},
		}
		want := offset{at: 1 << 40, leaderEpoch: -1, metadata: "a note", committed: committed}
		if version == 1 {
			want.expires = expires
		}
		if version >= 3 {
			want.leaderEpoch = 7
		}
		if version >= 4 {
			want.topicID = v.TopicID
		}
		data := v.AppendTo(nil)
		if got, ok := decodeOffset(data); !ok || got != want {
			t.Errorf("version %d is read as %+v (%v), want %+v", version, got, ok, want)
		}
		for n := range data {
			if got, ok := decodeOffset(data[:n]); ok {
				t.Errorf("version %d cut at %d of %d bytes is read as %+v", version, n, len(data), got)
			}
		}
	}
	if _, ok := decodeOffset((&kmsg.OffsetCommitValue{Version: 5}).AppendTo(nil)); ok {
		t.Error("a version of the future is read")
	}
}
