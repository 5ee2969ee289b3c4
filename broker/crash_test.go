package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// moment is what a power loss would have left, and what had been promised by then.
type moment struct {
	left             *vfs.MemFS
	acked, committed int64
}

// TestAPowerLossAtAnyFlushKeepsWhatWasPromised takes a copy of the disk, with none, some or all of what was not flushed, at every call that makes something durable:
// of the logs, the metadata and the coordinators' topics. A server that starts on any of them has every record and offset that was acknowledged before (L1, L2, G3).
func TestAPowerLossAtAnyFlushKeepsWhatWasPromised(t *testing.T) {
	ctx := testContext(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mem := vfs.NewCrashableMem()
	var acked, committed atomic.Int64
	var mu sync.Mutex
	var moments []moment
	calls := 0
	const most, stride = 60, 2
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpRename, errorfs.OpRemove, errorfs.OpCreate:
		default:
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls%stride != 0 || len(moments) == most {
			return nil
		}
		// The promises are looked at first: what is acknowledged while the copy is made may be in it or not.
		m := moment{acked: acked.Load(), committed: committed.Load()}
		m.left = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng})
		moments = append(moments, m)
		return nil
	}))
	b := brokertest.Start(t, broker.Config{FS: fs, Flush: broker.FlushAlways, Set: map[string]string{"offsets.topic.num.partitions": "2"}})
	cl := b.Client(t, kgo.AllowAutoTopicCreation())
	const records = 40
	for n := range int64(records) {
		produceAll(ctx, t, cl, "t", fmt.Sprint(n))
		acked.Store(n + 1)
		if n%4 == 3 {
			offsets := kadm.Offsets{}
			offsets.AddOffset("t", 0, n+1, -1)
			if err := kadm.NewClient(cl).CommitAllOffsets(ctx, "g", offsets); err != nil {
				t.Fatal(err)
			}
			committed.Store(n + 1)
		}
	}
	cl.Close()
	b.Stop()
	promised := 0
	for i, m := range moments {
		if m.committed > 0 {
			promised++
		}
		t.Run(fmt.Sprint(i), m.check)
	}
	if promised < 10 {
		t.Errorf("of %d moments %d only were after a promise", len(moments), promised)
	}
}

// check starts a server on what is left.
func (m moment) check(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{FS: m.left, Flush: broker.FlushAlways, Set: map[string]string{"offsets.topic.num.partitions": "2"}})
	if got := readAll(ctx, t, b, "t", int(m.acked)); !slices.Equal(got, numerals(0, len(got))) {
		t.Errorf("%d records were acknowledged; consumed %v", m.acked, got)
	}
	if m.committed == 0 {
		return
	}
	adm := kadm.NewClient(b.Client(t))
	fetched, err := adm.FetchOffsets(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	o, ok := fetched.Lookup("t", 0)
	end, _ := ends.Lookup("t", 0)
	if !ok || o.At < m.committed || o.At > end.Offset {
		t.Errorf("the group has offset %d (found: %t), %d was committed, the log ends at %d", o.At, ok, m.committed, end.Offset)
	}
}
