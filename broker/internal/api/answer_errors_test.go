package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/meter"
)

func TestErrorsAreCountedAtEveryDepth(t *testing.T) {
	const key = int16(kmsg.AddPartitionsToTxn)
	m := meter.New([]int16{key})
	resp := &kmsg.AddPartitionsToTxnResponse{
		ErrorCode: 1,
		Transactions: []kmsg.AddPartitionsToTxnResponseTransaction{{Topics: []kmsg.AddPartitionsToTxnResponseTransactionTopic{
			{Partitions: []kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{{ErrorCode: 2}, {ErrorCode: 0}}},
			{Partitions: []kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{{ErrorCode: 2}}},
		}}},
		Topics: []kmsg.AddPartitionsToTxnResponseTopic{{Partitions: []kmsg.AddPartitionsToTxnResponseTopicPartition{{ErrorCode: 3}}}},
	}
	CountErrors(m.Of(key), resp)
	_, errors := m.Of(key).Counts()
	if len(errors) != 3 || errors[1] != 1 || errors[2] != 2 || errors[3] != 1 {
		t.Fatalf("counted: %v", errors)
	}
}

// A busy group's answers pass here.
func TestCountingErrorsAllocatesNothing(t *testing.T) {
	resp := &kmsg.OffsetCommitResponse{Topics: []kmsg.OffsetCommitResponseTopic{{Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, 10)}}}
	counts := meter.New([]int16{8}).Of(8)
	if n := testing.AllocsPerRun(100, func() { CountErrors(counts, resp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCountErrors(b *testing.B) {
	resp := &kmsg.OffsetCommitResponse{Topics: []kmsg.OffsetCommitResponseTopic{{Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, 10)}}}
	counts := meter.New([]int16{8}).Of(8)
	for b.Loop() {
		CountErrors(counts, resp)
	}
}
