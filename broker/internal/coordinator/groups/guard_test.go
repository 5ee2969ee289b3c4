package groups

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// T8 for offsets: what the transaction's coordinator confirmed may be over when it is the offsets' turn. Written then,
// they would be pending for ever.
func TestAMarkerVoidsWhatWasConfirmedBefore(t *testing.T) {
	for _, x := range []struct {
		name        string
		bumped      bool
		markerEpoch int16
		want        error
	}{
		{"protocol 1", false, 1, kerr.InvalidTxnState},
		{"protocol 2", true, 2, kerr.InvalidProducerEpoch},
		{"protocol 2, the marker of the transaction before", true, 1, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := start(&memLog{})
			defer c.Close()
			p := entry.Producer{ID: 9, Epoch: 1}
			r := commit("", -1, 7)
			r.Producer = p
			err := c.CommitInTransaction(ctx, r, x.bumped, func(ctx context.Context) error {
				return c.WriteMarker(ctx, 0, entry.Marker{Producer: entry.Producer{ID: 9, Epoch: x.markerEpoch}, Commit: true})
			})
			if err != x.want {
				t.Fatalf("the commit: %v, want %v", err, x.want)
			}
			if o := committed(t, c, true); (o.Err != nil) != (x.want == nil) {
				t.Fatalf("a stable fetch says %v", o.Err)
			}
			if n := len(c.mu.guards); n != 0 {
				t.Fatalf("%d guards are left", n)
			}
		})
	}
}

func TestAnUnconfirmedCommitWritesNothing(t *testing.T) {
	log := &memLog{}
	c := start(log)
	defer c.Close()
	r := commit("", -1, 7)
	r.Producer = entry.Producer{ID: 9, Epoch: 1}
	err := c.CommitInTransaction(ctx, r, true, func(context.Context) error { return kerr.ProducerFenced })
	if _, end := log.Bounds(); err != kerr.ProducerFenced || end != 0 {
		t.Fatalf("the commit: %v, log end %d", err, end)
	}
}
