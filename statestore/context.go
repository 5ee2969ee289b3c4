package statestore

// RecordContext is where a record that is held back came from.
type RecordContext struct {
	Timestamp int64
	Topic     string
	Partition int32
	Offset    int64
	Headers   []Header
}

// Header is one record header.
type Header struct {
	Key   string
	Value []byte // nil is null
}
