package txn

import "testing"

func TestATransactionOwnsItsPartitionsUntilItsMarkersAreWritten(t *testing.T) {
	in, out := TopicPartition{"a", 0}, TopicPartition{"a", 1}
	for state := range stateEnd {
		tr := sample()
		tr.State, tr.Identity, tr.Next, tr.Previous, tr.Partitions = state, Identity{12, 3}, 13, 11, []TopicPartition{in}
		c := New(Config{})
		c.ApplyChange(Change{"x", tr})
		for id, named := range map[ProducerID]bool{11: true, 12: true, 13: true, 14: false} {
			if got, want := c.Owns(id, in), named && !state.idle(); got != want {
				t.Errorf("%v: owns the partition under %d: %v, want %v", state, id, got, want)
			}
			if c.Owns(id, out) {
				t.Errorf("%v: owns a partition that it does not have", state)
			}
		}
	}
}
