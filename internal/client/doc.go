// Package client is the hot half of a Kafka client: what the runtime needs per record and per commit, over the connections of a franz-go client.
//
// [Producer] appends records straight into record batches, one open batch per partition, and sends the sealed batches with idempotent sequences and inside
// transactions. [Fetcher] keeps fetched batches as they came off the wire and hands out records decoded in place. Neither makes an object per record.
//
// What franz-go's client (kgo) does well stays with it: connections, version negotiation, SASL and TLS, coordinators, group membership, admin requests.
// Its own producer and consumer are not used, for three reasons. They make an object per record, which costs several times what an operator costs. The
// producer cannot put several tasks' offsets with their metadata, fenced by group generation, into a transaction that is otherwise empty, nor tell an aborted transaction from
// an unknown outcome. And the consumer decides when to fetch what, while here a task's progress decides.
//
// # Promises
//
//   - A partition's batches reach the log in the order of Append, each once (idempotent sequences), or the producer reports an error and sends no more until Init or End.
//   - Between the first Append after End and the next End there is one transaction: it commits as a whole or not at all.
//   - The outcome of a commit is asked for until the coordinator tells it. Only when it does not answer within the time-out is it [ErrUnknownOutcome],
//     and then the caller has to read back what is committed.
//   - Memory is bounded: Append waits when the sealed batches reach ProducerConfig.MemoryBytes, a Fetcher stops fetching a partition that has
//     FetchConfig.PartitionBytes waiting.
//
// A Producer and a Fetcher are each used by one goroutine (only Flush and SendOffsets may run side by side); the goroutines that they start end with Close.
package client
