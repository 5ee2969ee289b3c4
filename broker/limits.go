package broker

import "time"

// What a connection may cost. A connection holds one goroutine, readBuffer bytes, and while it has a request in process the bytes of that request and
// of its answer. All together: idle connections 16,384 (max.connections) × (4 KiB + 8 KiB of stack) = 192 MiB, first chunks of requests 16,384 × 64 KiB =
// 1 GiB, as much for what decoding makes of small requests, larger requests with what decoding makes of them 512 MiB, fetch answers 512 MiB and a batch
// (max.message.bytes, 1 MiB) for each connection that fetches, other answers 256 MiB and 64 KiB for each connection. Consumer groups keep at most 32 MiB
// for each partition of __consumer_offsets (group.Config.MaxBytes), 1.6 GiB for 50.
const (
	// readBuffer holds small requests, several of them when a client does not wait for answers; larger ones are read straight into their own buffer. Measured beside
	// 1 KiB, processor time: 12 % less for batches of 1 KiB, 5 in flight, and 7 % less for a transaction of ten records of 100 bytes.
	readBuffer = 4 << 10

	// firstChunk is what is allocated before any byte of a frame has come. A larger frame's buffer doubles as its bytes arrive, so that a length
	// alone costs nobody memory.
	firstChunk = 64 << 10

	// freeDecode is what decoding and answering a request may take, by frame.Check's estimate, without being counted in requestMemory. It covers a fetch of
	// 200 partitions.
	freeDecode = 64 << 10

	// requestMemory bounds the bytes beyond firstChunk of all requests that are being read or handled at one time, and what is made of them. Who wants
	// more than there is waits, and is dropped after chunkTimeout: better than to run out of memory for all.
	requestMemory = 512 << 20

	// answerMemory bounds the records of all fetch answers that are on their way at one time. When it is used up, answers get small: one batch each.
	answerMemory = 512 << 20

	// freeAnswer is what an answer other than a fetch's may take without being counted in replyMemory.
	freeAnswer = 64 << 10

	// maxHeld is how much an answer that waits for the next one may take together with those before it. The requests are in readBuffer, and answers to batches are
	// smaller than those: only answers that list many faults come near it.
	maxHeld = 4 << 10

	// replyMemory bounds the bytes beyond freeAnswer of all such answers that clients have not read yet. An answer that finds no room is not sent and
	// its connection closed: that happens only when hundreds of clients ask for much and read nothing.
	replyMemory = 256 << 20

	// keepBuffers is what is kept of the memory of large requests for those that come: enough for two requests at work with all that a client's defaults
	// let it send at once (Java 1 MiB, franz-go about 10 MiB).
	keepBuffers = 24 << 20

	// keepAnswer is the largest buffer of an answer that is kept; larger ones are left to the collector.
	keepAnswer = 4 << 20

	// maxPlainRequest bounds every request but Produce; frame.MaxMemory bounds what may be made of any. The largest honest request that is no
	// Produce (an assignment for 10,000 members) takes about 10 MiB.
	maxPlainRequest = 16 << 20

	// firstRequestTimeout is how long a new connection may say nothing at all.
	firstRequestTimeout = time.Minute

	// chunkTimeout is how long the next part of a frame may take: a client that sends less than a chunk in this time is dropped.
	chunkTimeout = 30 * time.Second

	// writeTimeout is how long an answer may take, beside the time that its size takes at minWriteRate.
	writeTimeout = 30 * time.Second

	// followPatience is how long the writing of an answer may hold up what follows it, such as the markers of a transaction: an answer to a client that
	// reads is written in microseconds.
	followPatience = 100 * time.Millisecond

	// minWriteRate, in bytes a second, is what a client must be able to read.
	minWriteRate = 128 << 10

	// acceptPause follows an Accept that failed for want of file descriptors, doubling up to maxAcceptPause.
	acceptPause    = 5 * time.Millisecond
	maxAcceptPause = time.Second

	// complaintInterval is the time between two log lines about clients that send garbage; what happens in between is counted.
	complaintInterval = 10 * time.Second
)
