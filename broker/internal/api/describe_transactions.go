package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleDescribeTransactions tells the state of transactional ids that this broker coordinates, of each once.
func handleDescribeTransactions(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	ids := seen[string]{}
	for _, id := range req.TransactionalIDs {
		if !ids.first(id) {
			continue
		}
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID = id
		t, err := n.Transactions.Describe(ctx, id)
		s.ErrorCode = Code(err)
		if err == nil {
			describeTransaction(&s, t)
		}
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp, nil
}

func describeTransaction(s *kmsg.DescribeTransactionsResponseTransactionState, t *txn.Transaction) {
	s.State = t.State.String()
	s.TimeoutMillis = int32(t.Timeout.Milliseconds())
	s.StartTimestamp = millisOr(t.Start, -1)
	s.ProducerID, s.ProducerEpoch = int64(t.ProducerID), int16(t.Epoch)
	for _, tp := range t.Partitions { // sorted
		if k := len(s.Topics); k == 0 || s.Topics[k-1].Topic != tp.Topic {
			topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			topic.Topic = tp.Topic
			s.Topics = append(s.Topics, topic)
		}
		last := &s.Topics[len(s.Topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
}

// millisOr is t on the wire, or none for no time.
func millisOr(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMilli()
}
