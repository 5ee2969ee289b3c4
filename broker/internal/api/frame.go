package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Request is one request with what is known of its sender.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      *string // null when the client did not say
	Body          kmsg.Request
	Conn          *Conn
	Received      time.Time
	Size          int // bytes of the frame

	// Forget gives the memory of the request's bytes back before the handler returns: for handlers that wait for long. Neither Body nor any of its bytes
	// are touched after it. Nil when there is little to give.
	Forget func()

	// BeforeWait is called by a handler of Produce before it waits for anything: answers that wait for this one's leave. Nil when there are none.
	BeforeWait func()

	// Waited is the time that the handler spent on waiting for others. The handler sets it.
	Waited time.Duration
}

// Conn is what handlers know of a connection. The fields above mu never change; it belongs to one connection's goroutine.
type Conn struct {
	Listener Listener
	Remote   string // address of the client, for logs and DescribeGroups
	Host     string // the client's host, as DescribeGroups shows it: "/127.0.0.1"

	// Software is what the client said of itself in ApiVersions.
	Software, SoftwareVersion string
}

// Listener is where a connection came in. Addresses in answers are those of the listener that was asked.
type Listener struct {
	Name string
	Host string // as clients are told
	Port int32
}

// Handler answers one request. See the package comment for what it may do.
type Handler func(ctx context.Context, n *Node, r *Request) (kmsg.Response, error)

// Followed is a response after which its handler has something left to do. Whoever writes the response calls After once, on the connection's goroutine and before
// its next request, when the bytes are written or given up; on another goroutine when that takes long.
type Followed interface {
	kmsg.Response
	After()
}

// Operation is an operation that a client needs to be allowed, with the numbers of Kafka's ACLs.
type Operation int8

// The operations of Kafka's ACLs.
const (
	OpNone            Operation = 0 // anybody
	OpRead            Operation = 3
	OpWrite           Operation = 4
	OpCreate          Operation = 5
	OpDelete          Operation = 6
	OpAlter           Operation = 7
	OpDescribe        Operation = 8
	OpClusterAction   Operation = 9
	OpDescribeConfigs Operation = 10
	OpAlterConfigs    Operation = 11
	OpIdempotentWrite Operation = 12
)

// Scope is the kind of resource that an operation is allowed on.
type Scope int8

// The scopes of an authorization.
const (
	ScopeNone Scope = iota
	ScopeTopic
	ScopeGroup
	ScopeCluster
	ScopeTransactionalID
)

// Permission is an operation on a kind of resource.
type Permission struct {
	Op    Operation
	Scope Scope
}

// API is one row of the table: a request that is served.
type API struct {
	Key      int16
	Min, Max int16 // versions served
	// ListedFromZero makes ApiVersions tell 0 as the lowest version, whatever Min is.
	ListedFromZero bool
	Handle         Handler
	// Needs is what a client must be allowed to do, the first for the whole request, all of them for some of it. There is no authorizer yet: the
	// table is what one will enforce.
	Needs []Permission
}
