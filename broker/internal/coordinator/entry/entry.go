package entry

// Record is one record of an internal topic. A nil Value is a tombstone.
//
// A record that a coordinator hands out is its own no longer: the shell encodes it before the step returns. A record
// that is given to an Apply is valid only during the call.
type Record struct {
	Key   []byte
	Value []byte
}

// Producer is the producer id and epoch under which transactional records and markers are written.
type Producer struct {
	ID    int64
	Epoch int16
}

// NoProducer is the producer of records outside of any transaction.
func NoProducer() Producer { return Producer{ID: -1, Epoch: -1} }

// None says whether p is no producer at all.
func (p Producer) None() bool { return p.ID < 0 }

// Marker is the control record that ends a producer's transaction on one partition.
type Marker struct {
	Producer
	CoordinatorEpoch int32 // leader epoch of the transaction coordinator's partition
	Commit           bool  // false: abort
	EpochBumped      bool  // protocol 2: the epoch lies above that of the transaction's records; not in the log
}
