package runtime

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
)

func TestTaskFindsEachOfManyTopics(t *testing.T) {
	var s sinks
	topics := make([]client.Topic, 100*walked)
	ref := func(n int) topology.TopicRef { return topology.TopicRef{Name: fmt.Sprintf("chosen-%d", n)} }
	for n := range topics {
		if s.find(ref(n)) != nil {
			t.Fatalf("topic %d was found before it was added", n)
		}
		s.add(ref(n), &topics[n])
	}
	for n := range topics {
		if s.find(ref(n)) != &topics[n] {
			t.Errorf("topic %d is another one's", n)
		}
	}
	if len(s.few) > walked {
		t.Errorf("%d topics are looked through one by one, want at most %d", len(s.few), walked)
	}
}
