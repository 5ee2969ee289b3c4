package topology

// minSegment is the least length of a segment of Kafka Streams' stores, in milliseconds.
const minSegment = 60_000

// BeyondSegments tells which of the records that are too old for a store with retention count as dropped; times are in milliseconds. Kafka Streams does not miss
// those that it can still store, in a segment of which another part is kept.
func BeyondSegments(time, observed, retention int64) bool {
	length := max(retention/2, minSegment)
	return time/length < (observed-retention)/length
}
