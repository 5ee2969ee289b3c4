package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeProducers tells which producers a log remembers, and which have a transaction open there: what an operator
// looks at to find a transaction that nobody ends.
func handleDescribeProducers(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeProducersRequest)
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	partitions := seen[partitionName]{}
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeProducersResponseTopic()
		topic.Topic = t.Topic
		for _, number := range t.Partitions {
			if !partitions.few(partitionName{t.Topic, number}) {
				continue
			}
			topic.Partitions = append(topic.Partitions, describeProducers(n, t.Topic, number))
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

func describeProducers(n *Node, topic string, number int32) kmsg.DescribeProducersResponseTopicPartition {
	out := kmsg.NewDescribeProducersResponseTopicPartition()
	out.Partition = number
	if err := controller.CheckTopicName(topic); err != nil {
		out.ErrorCode = Code(err)
		return out
	}
	p, err := n.Replicas.Partition(topic, number)
	if err == nil && p.Log() == nil {
		err = kerr.KafkaStorageError
	}
	if err != nil {
		out.ErrorCode = Code(err)
		return out
	}
	for _, info := range p.Log().ActiveProducers() {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch = int64(info.ID), int32(info.Epoch)
		a.LastSequence, a.LastTimestamp = info.LastSequence, info.LastTimestamp
		a.CoordinatorEpoch = info.CoordinatorEpoch
		a.CurrentTxnStartOffset = int64(info.TxnStart)
		out.ActiveProducers = append(out.ActiveProducers, a)
	}
	return out
}
