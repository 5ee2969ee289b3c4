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
// The package itself holds the server's life, its connections and its data directory. What requests mean is in internal/api, what logs do in
// internal/replica and internal/commitlog, what the cluster knows of itself in internal/cluster and internal/controller.
//
// Lock order: Server.mu is never held while a request is handled, and nothing below this package calls back into it.
package broker
