package broker_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// A kill between the deletion of a topic and the tombstones of its offsets leaves offsets of a topic that nobody has. The next start drops them: a topic of
// that name, made again, must not begin where the old one ended.
func TestOffsetsOfADeletedTopicAreForgottenAfterAKill(t *testing.T) {
	const dir, before = "/millrace/topics", "/before"
	fs := vfs.NewMem()
	b := brokertest.Start(t, broker.Config{FS: fs})
	makeTopic(t, b, "gone", 1)
	makeTopic(t, b, "kept", 1)
	adm, ctx := admin(t, b), withPatience(t)
	var offsets kadm.Offsets
	offsets.AddOffset("gone", 0, 5, -1)
	offsets.AddOffset("kept", 0, 6, -1)
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	copyTree(t, fs, dir, before)
	b.Resume()
	if _, err := adm.DeleteTopic(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	if err := fs.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyTree(t, fs, before, dir) // as if no tombstone had been written
	b.Resume()
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group = "g"
	fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "kept", Partitions: []int32{0}}, {Topic: "gone", Partitions: []int32{0}}}
	for c := b.Dial(t); ; {
		got := ask[*kmsg.OffsetFetchResponse](c, fetch, 7) // by name, which cannot tell the old topic from a new one
		kept, gone := got.Topics[0].Partitions[0], got.Topics[1].Partitions[0]
		if got.ErrorCode == 0 && kept.ErrorCode == 0 {
			if kept.Offset != 6 {
				t.Fatalf("the offset of a topic that is there is %+v", kept)
			}
			if gone.Offset == -1 {
				break
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the offset of the deleted topic stays: %+v", gone)
		}
	}
}

func copyTree(t *testing.T, fs vfs.FS, from, to string) {
	t.Helper()
	if ok, err := vfs.Clone(fs, fs, from, to); err != nil || !ok {
		t.Fatalf("copying %s: %t, %v", from, ok, err)
	}
}
