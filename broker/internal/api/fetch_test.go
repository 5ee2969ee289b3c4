package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/budget"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// A fetch that meets a bug leaves its session to the next request, and the memory for answers as it was.
func TestFetchThatPanicsGivesItsSessionBack(t *testing.T) {
	set, err := settings.NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	const memory = 1 << 20
	n := &Node{ // without partitions: the first look at one panics
		Now: time.Now, Settings: func() *settings.Broker { return set },
		Sessions: NewFetchSessions(func() int { return 1000 }), Answers: budget.New(memory),
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12
	req.SessionEpoch = initialEpoch
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "t"
	topic.Partitions = append(topic.Partitions, kmsg.NewFetchRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic: the test shows nothing")
			}
		}()
		_, _ = handleFetch(t.Context(), n, &Request{Body: req})
	}()
	sessions := 0
	for i := range n.Sessions.shards {
		for _, s := range n.Sessions.shards[i].sessions {
			sessions++
			if !s.mu.TryLock() {
				t.Error("the session is held for good")
			}
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions, want 1", sessions)
	}
	if got := n.Answers.TakeUpTo(memory); got != memory {
		t.Errorf("%d bytes are left for answers, want %d", got, memory)
	}
}
