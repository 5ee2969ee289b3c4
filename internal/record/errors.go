package record

import "errors"

// What a caller decides on. Every error of this package that comes from bytes wraps one of them.
var (
	// ErrShort: the buffer ends inside a batch. At the end of a fetch answer or of a log's tail that is normal.
	ErrShort = errors.New("record: buffer ends inside a batch")
	// ErrCorrupt: the bytes are no batch, or its checksum or its records do not hold.
	ErrCorrupt = errors.New("record: corrupt batch")
	// ErrOldFormat: the batch has magic 0 or 1, formats that are no longer served.
	ErrOldFormat = errors.New("record: message format v0 or v1 is not supported")
	// ErrInvalid: the batch is whole, but breaks a rule that its sender had to keep.
	ErrInvalid = errors.New("record: invalid record")
	// ErrInvalidTimestamp: a record's timestamp lies outside the allowed range.
	ErrInvalidTimestamp = errors.New("record: timestamp out of range")
	// ErrTooLarge: the records take more room, once decompressed, than the caller allows.
	ErrTooLarge = errors.New("record: decompressed records exceed the limit")
	// ErrDecompress: the records do not decompress. It comes with ErrCorrupt.
	ErrDecompress = errors.New("record: records do not decompress")
	// ErrUnknownCodec: the attributes name a codec that does not exist.
	ErrUnknownCodec = errors.New("record: unknown compression codec")
)
