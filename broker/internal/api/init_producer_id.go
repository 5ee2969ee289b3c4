package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// initKnowsFenced is the version from which on clients know PRODUCER_FENCED.
const initKnowsFenced = 4

// handleInitProducerID gives a producer its id and epoch. Without a transactional id any broker does, with a new id each
// time; with one its coordinator does, and fences the producer's predecessor.
func handleInitProducerID(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	reply := initProducerID(ctx, n, req)
	if CodeOf(reply.Err) == kerr.ProducerFenced && req.Version < initKnowsFenced {
		reply.Err = kerr.InvalidProducerEpoch
	}
	resp.ErrorCode = Code(reply.Err)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if reply.Err == nil {
		resp.ProducerID, resp.ProducerEpoch = int64(reply.Identity.ProducerID), int16(reply.Identity.Epoch)
	}
	return resp, nil
}

func initProducerID(ctx context.Context, n *Node, req *kmsg.InitProducerIDRequest) txn.Reply {
	expected := txn.Identity{ProducerID: txn.ProducerID(req.ProducerID), Epoch: txn.Epoch(req.ProducerEpoch)}
	if (expected.ProducerID == txn.NoProducerID) != (expected.Epoch == txn.NoEpoch) {
		return txn.Reply{Err: kerr.InvalidRequest}
	}
	if req.TransactionalID == nil {
		id, err := n.Transactions.NewProducerID(ctx)
		return txn.Reply{Err: err, Identity: txn.Identity{ProducerID: id}}
	}
	return n.Transactions.InitProducerID(ctx, txn.InitRequest{
		ID:       *req.TransactionalID,
		Timeout:  time.Duration(req.TransactionTimeoutMillis) * time.Millisecond,
		Expected: expected,
	})
}
