package record

import (
	"errors"
	"fmt"
)

// Rules are what a topic asks of a client's batch, beyond the format.
type Rules struct {
	KeyRequired bool // compacted topics: a record without a key could never be compacted

	LogAppendTime bool // the log stamps what comes in: the records' own times do not count

	// Record timestamps, in milliseconds since 1970, must lie in [NotBefore, NotAfter] when CheckTimestamps is set. A record without one may stay so.
	CheckTimestamps     bool
	NotBefore, NotAfter int64
}

// RecordFault is what is wrong with one record of a batch.
type RecordFault struct {
	Index   int // the record's place in its batch
	Message string
}

// maxFaults bounds the list of faults of one batch. The rest is only counted.
const maxFaults = 100

// FaultsError says which records of a batch break the [Rules]. It wraps [ErrInvalidTimestamp] if a timestamp is among the faults, otherwise
// [ErrInvalid].
type FaultsError struct {
	Faults []RecordFault // in order, the first hundred at most
	Total  int
	kind   error
}

// Error names the first fault and how many there are.
func (e *FaultsError) Error() string {
	return fmt.Sprintf("%v: %d of the batch's records, first record %d: %s", e.kind, e.Total, e.Faults[0].Index, e.Faults[0].Message)
}

// Unwrap returns the kind of the faults.
func (e *FaultsError) Unwrap() error { return e.kind }

// add returns e, made if need be, with one fault more.
func (e *FaultsError) add(kind error, index int, format string, args ...any) *FaultsError {
	if e == nil {
		e = new(FaultsError)
	}
	if e.kind == nil || kind == ErrInvalidTimestamp {
		e.kind = kind
	}
	e.Total++
	if len(e.Faults) < maxFaults {
		e.Faults = append(e.Faults, RecordFault{Index: index, Message: fmt.Sprintf(format, args...)})
	}
	return e
}

// CheckClientOffset tells whether a batch has the base offset that a client must give it, which lies outside the checksum.
func (b Batch) CheckClientOffset() error {
	if o := b.BaseOffset(); o != 0 {
		return fmt.Errorf("%w: base offset %d of a batch from a client must be 0", ErrInvalid, o)
	}
	return nil
}

// CheckClientHeader tells whether the rest of a batch's header is one that a client may send. The batch comes from [Next] and passed
// [Batch.CheckClientOffset] and [Batch.CheckSum].
func (b Batch) CheckClientHeader() error {
	attrs := b.Attributes()
	switch {
	case b.Count() <= 0:
		return fmt.Errorf("%w: batch without records", ErrInvalid)
	case b.Count() != int(b.LastOffsetDelta())+1:
		return fmt.Errorf("%w: batch says %d records, its last offset delta %d says otherwise", ErrInvalid, b.Count(), b.LastOffsetDelta())
	case attrs.IsControl():
		return fmt.Errorf("%w: clients do not write control batches", ErrInvalid)
	case attrs.HasDeleteHorizon():
		return fmt.Errorf("%w: clients do not set a delete horizon", ErrInvalid)
	case b.ProducerID() >= 0 && b.BaseSequence() < 0:
		return fmt.Errorf("%w: producer id %d with base sequence %d", ErrInvalid, b.ProducerID(), b.BaseSequence())
	case attrs.IsTransactional() && b.ProducerID() < 0:
		return fmt.Errorf("%w: transactional batch without a producer id", ErrInvalid)
	case !attrs.Codec().Valid():
		return fmt.Errorf("%w %d", ErrUnknownCodec, attrs.Codec())
	}
	return nil
}

// CheckRecords walks the records of a client's batch and holds them against rules: offsets must be 0, 1, 2 and so on. It returns the
// largest timestamp that it saw. d unpacks compressed batches, as in [Batch.Records].
func (b Batch) CheckRecords(d *Decompressor, rules Rules) (maxTimestamp int64, err error) {
	it, err := b.Records(d)
	if err != nil {
		return NoTimestamp, sendersFault(err)
	}
	var faults *FaultsError // made when there is a first one
	maxTimestamp = NoTimestamp
	var r Record
	for i := 0; ; i++ {
		timestamp, keyed, ok := it.skip(int32(i))
		if !ok {
			if !it.Next(&r) {
				break
			}
			if int(r.OffsetDelta) != i {
				return NoTimestamp, fmt.Errorf("%w: record %d of the batch has offset delta %d", ErrInvalid, i, r.OffsetDelta)
			}
			timestamp, keyed = r.Timestamp, r.Key != nil
		}
		switch {
		case rules.KeyRequired && !keyed:
			faults = faults.add(ErrInvalid, i, "a record of a compacted topic needs a key") // one fault a record, the first
		case timestamp != NoTimestamp && !rules.LogAppendTime:
			if rules.CheckTimestamps && (timestamp < rules.NotBefore || timestamp > rules.NotAfter) {
				faults = faults.add(ErrInvalidTimestamp, i, "timestamp %d lies outside [%d, %d]", timestamp, rules.NotBefore, rules.NotAfter)
			}
		case b.Attributes().IsLogAppendTime():
			faults = faults.add(ErrInvalidTimestamp, i, "clients do not set the append time")
		}
		maxTimestamp = max(maxTimestamp, timestamp)
	}
	if err := it.Err(); err != nil {
		return NoTimestamp, sendersFault(err)
	}
	if faults != nil {
		return maxTimestamp, faults
	}
	return maxTimestamp, nil
}

// sendersFault turns records that do not hold under a checksum that does into what they are: not the line's fault, but the sender's.
func sendersFault(err error) error {
	if errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrDecompress) {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	return err
}
