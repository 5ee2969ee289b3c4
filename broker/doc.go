// Package broker is the log server: a Kafka for one process or one machine, which any Kafka client can use.
//
//	var s broker.Server                         // in memory, with defaults
//	ln, err := net.Listen("tcp", "127.0.0.1:0")
//	err = s.Serve(ln)                           // until Shutdown
//
// What it promises: a request that was answered without an error has happened, as far as the flush mode says (see FlushMode); a kill at any moment
// loses nothing that was answered under that mode; a data directory is used by one process at a time and never by an older program than the one that
// wrote it; and no client, slow, broken or hostile, stops the others or makes memory grow past the bounds that are named in limits.go.
//
// When the disk fails:
//
//	a write or flush fails, however           the data directory is offline: all partitions, coordinators and changes of metadata answer KAFKA_STORAGE_ERROR or that
//	                                          their coordinator is not available, which clients try again; /healthz is 503, and the log says it once
//	the directory is removed, moved or        the same, within a second: what was acknowledged since then is lost with the directory, or is in it when it comes back
//	replaced, or something mounted over it
//	a call is refused (no room, no handles,   who asked is told KAFKA_STORAGE_ERROR; reads go on, and so do writes when it has passed
//	a read-only file system)
//	less than 64 MiB are free (2 % of a       producers are told KAFKA_STORAGE_ERROR, which they try again; reads, offsets, transactions and admin requests, such as the
//	small disk)                               deletion of a topic, go on until there is no room at all
//	a batch does not hold, a file is gone     that partition is offline, and nothing of it is cut or served; the others work
//	a read fails                              who asked is told KAFKA_STORAGE_ERROR, and may try again
//
// A directory that went offline comes back with the next start, which reads every batch of it and writes again what was not known to be on disk; a flush is never tried
// again. Apache Kafka, with all its directories offline, ends its process; a Server stays, so that whoever runs it can ask what happened, and is to be restarted by what
// watches /healthz.
//
// The package itself holds the server's life, its connections and its data directory. What requests mean is in internal/api, what logs do in
// internal/replica and internal/commitlog, what the cluster knows of itself in internal/cluster and internal/controller.
//
// Lock order: Server.mu is never held while a request is handled, and nothing below this package calls back into it.
package broker
