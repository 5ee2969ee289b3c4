package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type topicCreateOptions struct {
	partitions  int32
	replicas    int16
	configs     []string
	ifNotExists bool
}

func topicCreate(g *globals) *cobra.Command {
	o := topicCreateOptions{}
	cmd := &cobra.Command{
		Use:   "create TOPIC…",
		Short: "Create topics",
		Args:  atLeastOne("TOPIC"),
		Example: `  millrace topic create orders
  millrace topic create orders --partitions 4 --config retention.ms=86400000
  millrace topic create latest --config cleanup.policy=compact --if-not-exists`,
		RunE: func(cmd *cobra.Command, names []string) error {
			configs, err := parseConfigs(o.configs)
			if err != nil {
				return err
			}
			if o.partitions == 0 || o.partitions < -1 {
				return usagef("--partitions %d: want at least 1, or -1 for the broker's default", o.partitions)
			}
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return createTopics(ctx, cmd, g, adm, o, configs, names)
			})
		},
	}
	cmd.Flags().Int32VarP(&o.partitions, "partitions", "p", 1, "number of partitions; -1 is the broker's default")
	cmd.Flags().Int16VarP(&o.replicas, "replication-factor", "r", -1, "replicas of each partition; -1 is the broker's default")
	cmd.Flags().StringArrayVar(&o.configs, "config", nil, "setting of the topic, `KEY=VALUE`, by Kafka's names; may be repeated")
	cmd.Flags().BoolVar(&o.ifNotExists, "if-not-exists", false, "do nothing about topics that are there already")
	return cmd
}

func parseConfigs(pairs []string) (map[string]*string, error) {
	configs := map[string]*string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("--config %s: want KEY=VALUE", pair)
		}
		configs[key] = &value
	}
	return configs, nil
}

type createdTopic struct {
	Topic      string `json:"topic"`
	ID         string `json:"topic_id,omitempty"`
	Partitions int32  `json:"partitions,omitempty"`
	Created    bool   `json:"created"`
}

func createTopics(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, o topicCreateOptions, configs map[string]*string, names []string) error {
	answers, err := adm.CreateTopics(ctx, o.partitions, o.replicas, configs, names...)
	if err != nil {
		return explain("create topics", err, "")
	}
	all := []createdTopic{}
	var faults []error
	for _, name := range names {
		a := answers[name]
		exists := errors.Is(a.Err, kerr.TopicAlreadyExists) && o.ifNotExists
		switch {
		case exists && g.output == outputText:
			fmt.Fprintf(cmd.OutOrStdout(), "Topic %s exists already.\n", name)
		case a.Err != nil && !exists:
			faults = append(faults, explain(fmt.Sprintf("create topic %q", name), a.Err, a.ErrMessage))
		case g.output == outputText:
			fmt.Fprintf(cmd.OutOrStdout(), "Created topic %s with %d %s.\n", name, a.NumPartitions, plural(int64(a.NumPartitions), "partition"))
		}
		c := createdTopic{Topic: name, Created: a.Err == nil}
		if a.Err == nil {
			c.ID, c.Partitions = topicID(a.ID), a.NumPartitions
		}
		all = append(all, c)
	}
	if g.output == outputJSON {
		faults = append(faults, printJSON(cmd.OutOrStdout(), all))
	}
	return joinLines(faults)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
