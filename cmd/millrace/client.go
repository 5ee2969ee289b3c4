package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
)

const (
	// pingTimeout is how long a cluster may take to answer for the first time.
	pingTimeout = 5 * time.Second
	// adminTimeout bounds what a command asks of a cluster that did answer.
	adminTimeout = 30 * time.Second
)

// connect returns a client of a cluster that answers.
func (g *globals) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(g.brokers...), kgo.ClientID("millrace"),
		kgo.DialTimeout(pingTimeout), kgo.RetryTimeout(adminTimeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if err := client.Ping(ctx, cl, pingTimeout); err != nil {
		cl.Close()
		return nil, fmt.Errorf("no broker answers at %s (%s): start one with millrace dev, or name another one with --brokers", strings.Join(g.brokers, ","), dialFault(err))
	}
	return cl, nil
}

// admin runs fn with an admin client under adminTimeout.
func (g *globals) admin(ctx context.Context, fn func(context.Context, *kadm.Client) error) error {
	cl, err := g.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	return fn(ctx, kadm.NewClient(cl))
}

// dialFault says in few words why a connection failed.
func dialFault(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", pingTimeout)
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// hints tell what to do about an answer of the broker.
var hints = map[*kerr.Error]string{
	kerr.TopicAlreadyExists:        "add --if-not-exists to let it be, or look at it with millrace topic describe",
	kerr.InvalidReplicationFactor:  "a topic can have as many replicas as there are brokers: try --replication-factor 1",
	kerr.InvalidTopicException:     "a topic's name has 1 to 249 letters, digits, dots, underscores or dashes",
	kerr.UnknownTopicOrPartition:   "millrace topic list shows what is there, millrace topic create makes one",
	kerr.MessageTooLarge:           "send a smaller record, or raise the topic's max.message.bytes",
	kerr.RecordListTooLarge:        "send a smaller record, or raise the topic's segment.bytes",
	kerr.GroupIDNotFound:           "millrace group list shows what is there",
	kerr.NonEmptyGroup:             "stop its members first, millrace group describe shows them",
	kerr.TopicAuthorizationFailed:  "this client has no right to do so on the topic",
	kerr.GroupAuthorizationFailed:  "this client has no right to do so on the group",
	kerr.NotController:             "the controller is moving: try again",
	kerr.CoordinatorNotAvailable:   "the group's coordinator is moving: try again",
	kerr.CoordinatorLoadInProgress: "the group's coordinator is starting: try again",
}

// explain names what failed, why, Kafka's name for it, and what to do. detail is the broker's own sentence, if it sent one.
func explain(what string, err error, detail string) error {
	if err == nil {
		return nil
	}
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s: no answer within %v: %w", what, adminTimeout, err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	reason := strings.TrimSuffix(detail, ".")
	if reason == "" {
		reason = strings.TrimSuffix(strings.ToLower(answer.Description[:1])+answer.Description[1:], ".")
	}
	text := fmt.Sprintf("%s: %s (%s)", what, reason, answer.Message)
	if hint := hints[answer]; hint != "" {
		text += ": " + hint
	}
	return &brokerError{text, answer}
}

// brokerError is an answer of the broker as a sentence.
type brokerError struct {
	text   string
	answer *kerr.Error
}

func (e *brokerError) Error() string { return e.text }
func (e *brokerError) Unwrap() error { return e.answer }
