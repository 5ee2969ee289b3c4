package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicCommand(g *globals) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:   "topic",
		Short: "Make, look at, fill, read and delete topics",
		Example: `  millrace topic list
  millrace topic create orders --partitions 4
  millrace topic consume orders --end`,
	})
	clientFlags(cmd, g)
	cmd.AddCommand(topicCreate(g), topicList(g), g.completing(topicDescribe(g), 0, topicNames), g.completing(topicDelete(g), 0, topicNames),
		g.completing(topicProduce(g), 1, topicNames), g.completing(topicConsume(g), 1, topicNames))
	return cmd
}

func topicList(g *globals) *cobra.Command {
	internal := false
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the topics",
		Args:    exactly(),
		Example: `  millrace topic list
  millrace topic list --internal
  millrace topic list -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				topics, err := adm.ListTopicsWithInternal(ctx)
				if err != nil {
					return explain("list topics", err, "")
				}
				return g.printTopics(cmd, topics, internal)
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "show the cluster's own topics too")
	return cmd
}

// topicID writes an id as Kafka's tools do: 22 characters of base64 that a URL can hold.
func topicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

type topicSummary struct {
	Topic             string `json:"topic"`
	ID                string `json:"topic_id"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
	Internal          bool   `json:"internal"`
}

func (g *globals) printTopics(cmd *cobra.Command, topics kadm.TopicDetails, internal bool) error {
	all := []topicSummary{}
	for _, t := range topics.Sorted() {
		if t.Err == nil && (internal || !t.IsInternal) {
			all = append(all, topicSummary{t.Topic, topicID(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal})
		}
	}
	if g.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	rows := make([][]string, len(all))
	for i, t := range all {
		rows[i] = []string{t.Topic, strconv.Itoa(t.Partitions), strconv.Itoa(t.ReplicationFactor)}
	}
	return printTable(cmd.OutOrStdout(), []string{"TOPIC", "PARTITIONS", "REPLICATION-FACTOR"}, rows)
}

func topicDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "delete TOPIC…",
		Aliases: []string{"rm"},
		Short:   "Delete topics with all their records",
		Args:    atLeastOne("TOPIC"),
		Example: `  millrace topic delete orders
  millrace topic delete orders payments
  millrace topic delete orders --brokers 127.0.0.1:9093`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return deleteTopics(ctx, cmd, g, adm, names)
			})
		},
	}
}

func deleteTopics(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, names []string) error {
	if _, err := existing(ctx, adm, names); err != nil {
		return err
	}
	answers, err := adm.DeleteTopics(ctx, names...)
	if err != nil {
		return explain("delete topics", err, "")
	}
	type deleted struct {
		Topic   string `json:"topic"`
		Deleted bool   `json:"deleted"`
	}
	all := []deleted{}
	var faults []error
	for _, name := range names {
		a := answers[name]
		if a.Err != nil {
			faults = append(faults, explain(fmt.Sprintf("delete topic %q", name), a.Err, a.ErrMessage))
		} else if g.output == outputText {
			fmt.Fprintf(cmd.OutOrStdout(), "Deleted topic %s.\n", name)
		}
		all = append(all, deleted{name, a.Err == nil})
	}
	if g.output == outputJSON {
		faults = append(faults, printJSON(cmd.OutOrStdout(), all))
	}
	return joinLines(faults)
}

// existing returns the topics with these names, or an error that names the first one that is not there and those that come near.
func existing(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, explain("list topics", err, "")
	}
	found := kadm.TopicDetails{}
	for _, name := range names {
		t, ok := topics[name]
		if !ok {
			return nil, fmt.Errorf("there is no topic %q (%s)%s", name, kerr.UnknownTopicOrPartition.Message, cmp.Or(didYouMean(name, topics.Names()), ": "+hints[kerr.UnknownTopicOrPartition]))
		}
		if t.Err != nil {
			return nil, explain(fmt.Sprintf("topic %q", name), t.Err, "")
		}
		found[name] = t
	}
	return found, nil
}

// setConfigs returns the settings of a topic that are its own, not the broker's or the defaults, as key=value in the order of their names.
func setConfigs(configs []kadm.Config) []string {
	var all []string
	for _, c := range configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			all = append(all, c.Key+"="+c.MaybeValue())
		}
	}
	slices.Sort(all)
	return all
}

// joinLines makes one error of several, a line each; nil of none.
func joinLines(errs []error) error {
	var lines []string
	for _, err := range errs {
		if err != nil {
			lines = append(lines, err.Error())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}
