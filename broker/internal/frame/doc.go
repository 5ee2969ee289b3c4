// Package frame checks the bytes of a request before anything is made of them, so that no request holds a core or memory that its size does not account for.
//
// A message decoder believes what it reads: it allocates an array as long as its count says, and counts down a number of tagged fields whether they are there or not. Check walks a
// request once, by the layout of its key and version, and refuses what cannot be: a length or count that the bytes left cannot hold, a null where there is none, tagged fields that
// repeat or go backwards, known tagged fields that are longer or shorter than their size. It allocates nothing, takes time in proportion to the bytes, and returns how much memory
// decoding and answering will take, so that the server can refuse it or wait for it beforehand.
//
//	body ─Check─▶ memory, at most MaxMemory ─▶ decode
//	       └────▶ error: the connection is closed
//
// Bytes after a request's last field are accepted, as Apache Kafka does. Where Kafka's reading and the message library's differ (a negative length that is not null, unknown
// markers of presence), the request is refused: a frame that has two meanings has none.
//
// The layouts (requests_*.go) are facts of the protocol. Tests hold them against the message library, which encodes random requests of every version that is served.
package frame
