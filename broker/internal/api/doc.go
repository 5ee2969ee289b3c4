// Package api answers Kafka's requests: one file per API, one table of them all.
//
// A handler is a function from a decoded request to a response. It runs on its connection's goroutine, which takes up the next request of the
// connection only when the handler has returned: answers leave in the order of the requests, and a connection has one request in process. A handler
// that has to wait (a long poll, a join, acks=all) simply waits, for its event or for ctx, which ends when the connection or the server does (Produce calls Request.BeforeWait first):
//
//	frame ─decode▶ Request ─Handler▶ kmsg.Response ─encode▶ frame
//	                           ├────▶ nil, nil   no answer (Produce with acks 0)
//	                           └────▶ nil, error the connection is closed
//
// Errors that the protocol has a code for are part of the response; CodeOf turns a Go error into the code in one place, by the table in errors.go.
//
// The bytes of a request (Request.Frame and every []byte in its body) are valid until the handler returns: whoever keeps them copies them. Strings may be kept.
//
// The package decides nothing about data: it checks and translates, and asks the packages below: replica (logs), cluster and controller (metadata), the group
// and transaction coordinators.
package api
