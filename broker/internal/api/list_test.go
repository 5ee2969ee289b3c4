package api

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// A filter as long as a frame allows must not be gone through for each of a million groups.
func TestAFilterIsGoneThroughOnceForEachState(t *testing.T) {
	f := filterBy([]string{"stable", "nonsense"})
	for word, want := range map[string]bool{"Stable": true, "Empty": false, "stable": true} {
		if f.lets(word) != want {
			t.Errorf("the filter lets %q through: %t", word, !want)
		}
	}
	f.words = nil // whoever looks again now finds everything let through
	if f.lets("Empty") {
		t.Error("a word that was looked up before is looked up again")
	}
	if none := filterBy(nil); !none.lets("Stable") {
		t.Error("no filter keeps a word back")
	}
}

func TestManyProducerIDsAreOneLookUp(t *testing.T) {
	req := kmsg.NewPtrListTransactionsRequest()
	for id := range int64(1000) {
		req.ProducerIDFilters = append(req.ProducerIDFilters, id, id)
		req.StateFilters = append(req.StateFilters, "Ongoing", fmt.Sprint("nonsense-", id))
	}
	f, unknown, err := transactionFilter(req)
	if err != nil || len(f.ProducerIDs) != 1000 || len(f.States) != 1 || f.States[0] != txn.Ongoing || len(unknown) != 1000 {
		t.Errorf("%d producers, states %v, %d unknown states, %v", len(f.ProducerIDs), f.States, len(unknown), err)
	}
}
