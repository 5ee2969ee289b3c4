package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicState tells a topic from another one of its name, and from itself with more partitions.
type topicState struct {
	id         string // as Kafka's tools write it; empty where the log has no ids
	partitions int    // 0: the topic is not there
}

// topicWait is how long a topic that was just made may take to be known to the broker that is asked.
const topicWait = 10 * time.Second

// topics asks for topics as they are now, not as the client remembers them.
func (s *sink) topics(ctx context.Context, names []string) (map[string]topicState, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, fmt.Errorf("postgres: describe the topics: %w", err)
	}
	states := make(map[string]topicState, len(names))
	for i := range resp.Topics {
		topic := &resp.Topics[i]
		err := kerr.ErrorForCode(topic.ErrorCode)
		switch {
		case topic.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil:
			return nil, fmt.Errorf("postgres: describe topic %s: %w", *topic.Topic, err)
		default:
			state := topicState{partitions: len(topic.Partitions)}
			if topic.TopicID != [16]byte{} {
				state.id = base64.RawURLEncoding.EncodeToString(topic.TopicID[:])
			}
			states[*topic.Topic] = state
		}
	}
	return states, nil
}

// madeTopics is topics for those that are there or were just made.
func (s *sink) madeTopics(ctx context.Context, names []string) (map[string]topicState, error) {
	for deadline := time.Now().Add(topicWait); ; {
		states, err := s.topics(ctx, names)
		if err != nil || len(states) == len(names) {
			return states, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("postgres: %d of the topics %q are known: %w", len(states), names, kerr.UnknownTopicOrPartition)
		}
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// checkPositionTopic refuses a topic that loses positions, or tells them in another order than they were written in. Who may not ask for its settings goes without.
func (s *sink) checkPositionTopic(ctx context.Context) (topicState, error) {
	name := s.positionTopic()
	states, err := s.madeTopics(ctx, []string{name})
	if err != nil {
		return topicState{}, err
	}
	if n := states[name].partitions; n != 1 {
		return topicState{}, fmt.Errorf("%w: %s has %d partitions, positions need one: delete it if nothing else uses it, and all tables get new snapshots", errUnfitTopic, name, n)
	}
	described, err := s.admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return topicState{}, fmt.Errorf("postgres: describe topic %s: %w", name, err)
	}
	for _, topic := range described {
		for _, setting := range topic.Configs {
			if policy := setting.MaybeValue(); setting.Key == "cleanup.policy" && policy != "compact" {
				return topicState{}, fmt.Errorf("%w: of %s the cleanup.policy is %s, by which positions are lost: set it to compact", errUnfitTopic, name, policy)
			}
		}
	}
	return states[name], nil
}

// lostTopic tells whether a table's position is of another topic than the one that is there: its rows went with that one. A topic that has grown is an error.
func (p *tablePosition) lostTopic(name string, now topicState) (bool, error) {
	switch {
	case p.Topic != "" && p.Topic != now.id:
		return true, nil
	case p.Partitions != 0 && now.partitions != 0 && p.Partitions != now.partitions:
		return false, fmt.Errorf("%w: %s has %d partitions, and had %d when its table was read: a key's changes would go on in another partition. Delete the topic and start again, and the table gets a new snapshot",
			errUnfitTopic, name, now.partitions, p.Partitions)
	}
	return now.partitions == 0, nil
}

// topicsStand tells whether the topics are those that the session began with. Its tables' rows, or its positions, are gone where they are not.
func (s *session) topicsStand(ctx context.Context) (bool, error) {
	names := []string{s.sink.positionTopic()}
	for name := range s.position.tables {
		names = append(names, topicOf(s.cfg.Name, name))
	}
	now, err := s.sink.topics(ctx, names)
	if err != nil {
		return false, err
	}
	if now[s.sink.positionTopic()] != s.positionTopic {
		return false, nil
	}
	for name, p := range s.position.tables {
		topic := topicOf(s.cfg.Name, name)
		if lost, err := p.lostTopic(topic, now[topic]); lost || err != nil {
			return false, err
		}
	}
	return true, nil
}
