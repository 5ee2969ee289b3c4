package runtime

import (
	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
)

// sinks are the topics that a task has written to. Most tasks write to a few, which a walk finds faster than a map does; functions that choose the topic of each record
// may write to thousands.
type sinks struct {
	few  []sink // the first walked ones
	rest map[topology.TopicRef]*client.Topic
}

type sink struct {
	ref   topology.TopicRef
	topic *client.Topic
}

// walked is how many topics are looked through one by one.
const walked = 8

// find returns a topic that was added, or nil.
func (s *sinks) find(ref topology.TopicRef) *client.Topic {
	for i := range s.few {
		if s.few[i].ref == ref {
			return s.few[i].topic
		}
	}
	return s.rest[ref]
}

// add takes in a topic that is not there yet.
func (s *sinks) add(ref topology.TopicRef, t *client.Topic) {
	switch {
	case len(s.few) < walked:
		s.few = append(s.few, sink{ref, t})
	case s.rest == nil:
		s.rest = map[topology.TopicRef]*client.Topic{ref: t}
	default:
		s.rest[ref] = t
	}
}
