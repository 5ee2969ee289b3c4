package api

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleWriteTxnMarkers writes the ends of transactions into logs that this broker leads: decisions of a coordinator on
// another broker, or of an operator who aborts what its coordinator forgot.
func handleWriteTxnMarkers(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.WriteTxnMarkersRequest)
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	for i := range req.Markers {
		if !slices.ContainsFunc(req.Markers[i].Topics, func(t kmsg.WriteTxnMarkersRequestMarkerTopic) bool { return len(t.Partitions) > 0 }) {
			continue // nothing to write, and nothing to tell
		}
		resp.Markers = append(resp.Markers, writeTxnMarker(ctx, n, &req.Markers[i]))
	}
	return resp, nil
}

func writeTxnMarker(ctx context.Context, n *Node, m *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
	marker := transactions.Marker{
		Marker: entry.Marker{
			Producer:         entry.Producer{ID: m.ProducerID, Epoch: m.ProducerEpoch},
			CoordinatorEpoch: m.CoordinatorEpoch,
			Commit:           m.Committed,
		},
		Protocol: txn.V1,
	}
	if m.TransactionVersion >= 2 {
		marker.Protocol = txn.V2
	}
	var tps []txn.TopicPartition
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			tps = append(tps, txn.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	errs := n.Transactions.WriteMarkers(ctx, marker, tps)
	out := kmsg.NewWriteTxnMarkersResponseMarker()
	out.ProducerID = m.ProducerID
	for _, t := range m.Topics {
		topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
			tp.Partition = p
			tp.ErrorCode = markerCode(errs[0])
			errs = errs[1:]
			topic.Partitions = append(topic.Partitions, tp)
		}
		out.Topics = append(out.Topics, topic)
	}
	return out
}

// markerCode says "gone" in Kafka's words.
func markerCode(err error) int16 {
	if errors.Is(err, transactions.ErrGone) {
		return kerr.UnknownTopicOrPartition.Code
	}
	return Code(err)
}
