package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleEndTxn decides the end of a transaction. From v5 on it also says under which identity the producer goes on.
func handleEndTxn(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.EndTxnRequest)
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	protocol := txn.V1
	if req.Version >= 5 {
		protocol = txn.V2
	}
	reply, then := n.Transactions.DecideTxn(ctx, txn.EndRequest{
		ID:       req.TransactionalID,
		Identity: identity(req.ProducerID, req.ProducerEpoch),
		Commit:   req.Commit,
		Protocol: protocol,
	})
	resp.ErrorCode = fencedCode(reply.Err, req.Version, 2)
	if reply.Err == nil {
		resp.ProducerID, resp.ProducerEpoch = int64(reply.Identity.ProducerID), int16(reply.Identity.Epoch)
	}
	if then != nil {
		return &endTxnAnswer{EndTxnResponse: resp, then: then}, nil
	}
	return resp, nil
}

// endTxnAnswer is an EndTxnResponse after which the markers are written.
type endTxnAnswer struct {
	*kmsg.EndTxnResponse
	then func()
}

// After writes the markers.
func (a *endTxnAnswer) After() { a.then() }
