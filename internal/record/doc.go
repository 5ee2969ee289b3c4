// Package record reads and writes Kafka's record batch, format v2: the unit on the wire, in memory and on disk.
//
// Its promise: a batch is read where it lies and written where it will be sent. [Batch] is a view over bytes, [Records] walks the records of
// a batch without an allocation, [Builder] appends records into one growing buffer. Nothing here trusts a length, a count or a checksum that
// came from outside: whatever the bytes are, the answer is an error or a value inside the buffer, and decompression stops at a cap that the
// caller names.
//
// Older formats (magic 0 and 1) are recognised and refused with [ErrOldFormat].
//
// One batch, big-endian; the widths are in bytes:
//
//	 0              8        12            16      17       21           23                27              35
//	┌──────────────┬────────┬─────────────┬───────┬────────┬────────────┬─────────────────┬───────────────┬──────────────┐
//	│ base offset 8│length 4│leader ep. 4 │magic 1│ crc 4  │attributes 2│last offset Δ 4  │base timest. 8 │max timest. 8 │
//	└──────────────┴────────┴─────────────┴───────┴────────┴────────────┴─────────────────┴───────────────┴──────────────┘
//	 43             51             53            57        61
//	┌──────────────┬──────────────┬─────────────┬─────────┬─────────────────────────────────────────────────────────────┐
//	│producer id 8 │producer ep. 2│base seq. 4  │count 4  │ records, compressed as a whole if the attributes say so     │
//	└──────────────┴──────────────┴─────────────┴─────────┴─────────────────────────────────────────────────────────────┘
//
// The length counts what follows it. The CRC (Castagnoli) covers everything from the attributes on, so that a leader may patch base offset
// and leader epoch in place.
//
//	attributes   bits 0-2 codec │ 3 timestamp is the log's │ 4 transactional │ 5 control │ 6 base timestamp is the delete horizon │ 7-15 zero
//
//	record       ┌─────────────┬────────────┬──────────────────┬─────────────────┬────────────┬─────┬──────────────┬───────┬────────────────┐
//	             │length varint│attributes 1│timestamp Δ varint│offset Δ varint  │klen varint │ key │vlen varint   │ value │headers         │
//	             └─────────────┴────────────┴──────────────────┴─────────────────┴────────────┴─────┴──────────────┴───────┴────────────────┘
//	headers      count varint, then for each: klen varint, key, vlen varint, value; a length of -1 is null
//
// The package is shared by broker, client and tools. It imports compression libraries and the standard library, nothing else.
package record
