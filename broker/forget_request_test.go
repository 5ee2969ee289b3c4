package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// A join may wait for minutes. What its request took of the memory for all requests must not wait with it, or a few hundred members keep everybody out.
func TestAWaitingJoinHoldsNoRequestMemory(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	first, second := b.Dial(t), b.Dial(t)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "consumer", 60_000, 60_000
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "g"
	ask[*kmsg.FindCoordinatorResponse](first, find, 3)
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0}}}
	member := ask[*kmsg.JoinGroupResponse](first, join, 3).MemberID

	large := *join
	large.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 4<<20)}}
	for i := range large.Protocols[0].Metadata {
		large.Protocols[0].Metadata[i] = 'm'
	}
	large.SetVersion(3)
	second.Send(&large)
	const waiting, used = `kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Rebalance"}`, `millrace_memory_used_bytes{of="requests"}`
	for ctx := testContext(t); ; {
		samples, _ := scrape(t, b)
		if samples[waiting] == 1 && samples[used] == 0 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%v requests wait, and requests hold %v bytes", samples[waiting], samples[used])
		}
	}
	// Its memory serves others now; what the group keeps is its own.
	noise := large
	noise.Group, noise.Protocols = "other", []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 4<<20)}}
	ask[*kmsg.JoinGroupResponse](b.Dial(t), &noise, 3)
	join.MemberID = member
	leader := ask[*kmsg.JoinGroupResponse](first, join, 3)
	if len(leader.Members) != 2 {
		t.Fatalf("%d members, want 2", len(leader.Members))
	}
	for _, m := range leader.Members {
		if m.MemberID != member && string(m.ProtocolMetadata) != string(large.Protocols[0].Metadata) {
			t.Error("the metadata of the member that waited is not what it sent")
		}
	}
	second.Receive(&large)
}
