package api

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleListTransactions lists the transactions that this broker coordinates and that pass all filters.
func handleListTransactions(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ListTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	f, unknown, err := transactionFilter(req)
	resp.UnknownStateFilters = unknown
	var found []*txn.Transaction
	if err == nil {
		found, err = n.Transactions.List(ctx, f)
	}
	resp.ErrorCode = Code(err)
	for _, t := range found {
		s := kmsg.NewListTransactionsResponseTransactionState()
		s.TransactionalID, s.ProducerID, s.TransactionState = t.ID, int64(t.ProducerID), t.State.String()
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp, nil
}

// maxPattern is the longest pattern for transactional ids; a compiled one takes a hundred times its length.
const maxPattern = 4 << 10

// transactionFilter returns the filter, and the names that are no states.
func transactionFilter(req *kmsg.ListTransactionsRequest) (f txn.Filter, unknown []string, err error) {
	f.Longer = txn.NoDuration
	for _, name := range req.StateFilters {
		if s, ok := txn.ParseState(name); ok {
			if !slices.Contains(f.States, s) {
				f.States = append(f.States, s)
			}
		} else {
			unknown = append(unknown, name)
		}
	}
	f.NoState = len(req.StateFilters) > 0 && len(f.States) == 0
	f.ProducerIDs = make(map[txn.ProducerID]struct{}, len(req.ProducerIDFilters))
	for _, id := range req.ProducerIDFilters {
		f.ProducerIDs[txn.ProducerID(id)] = struct{}{}
	}
	if req.Version >= 1 && req.DurationFilterMillis >= 0 {
		f.Longer = longest
		if req.DurationFilterMillis < longest.Milliseconds() {
			f.Longer = time.Duration(req.DurationFilterMillis) * time.Millisecond
		}
	}
	if p := req.TransactionalIDPattern; p != nil && *p != "" {
		if len(*p) > maxPattern {
			return f, unknown, kerr.InvalidRegularExpression
		}
		if f.IDs, err = regexp.Compile(`^(?:` + *p + `)$`); err != nil {
			return f, unknown, kerr.InvalidRegularExpression
		}
	}
	return f, unknown, nil
}

// longest is a duration that no transaction has; more milliseconds than it has would overflow.
const longest time.Duration = 1<<63 - 1
