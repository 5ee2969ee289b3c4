package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func topicDescribe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "describe TOPIC…",
		Short: "Show the partitions, offsets and settings of topics",
		Args:  atLeastOne("TOPIC"),
		Example: `  millrace topic describe orders
  millrace topic describe orders payments
  millrace topic describe orders -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return describeTopics(ctx, cmd, g, adm, names)
			})
		},
	}
}

type describedTopic struct {
	Topic             string               `json:"topic"`
	ID                string               `json:"topic_id"`
	ReplicationFactor int                  `json:"replication_factor"`
	Configs           map[string]string    `json:"configs"`
	Partitions        []describedPartition `json:"partitions"`
	set               []string
}

type describedPartition struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	LogStart    int64   `json:"log_start_offset"`
	LogEnd      int64   `json:"log_end_offset"`
}

func describeTopics(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, names []string) error {
	topics, err := existing(ctx, adm, names)
	if err != nil {
		return err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return explain("describe the settings of topics", err, "")
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return explain("list the start offsets", err, "")
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return explain("list the end offsets", err, "")
	}
	all := make([]describedTopic, 0, len(names))
	for _, name := range names {
		t := topics[name]
		d := describedTopic{Topic: name, ID: topicID(t.ID), ReplicationFactor: t.Partitions.NumReplicas(), Configs: map[string]string{}}
		resource, err := configs.On(name, nil)
		if err == nil {
			err = resource.Err
		}
		if err != nil {
			return explain(fmt.Sprintf("describe the settings of topic %q", name), err, resource.ErrMessage)
		}
		d.set = setConfigs(resource.Configs)
		for _, c := range resource.Configs {
			d.Configs[c.Key] = c.MaybeValue()
		}
		for _, p := range t.Partitions.Sorted() {
			start, _ := starts.Lookup(name, p.Partition)
			end, _ := ends.Lookup(name, p.Partition)
			d.Partitions = append(d.Partitions, describedPartition{p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, start.Offset, end.Offset})
		}
		all = append(all, d)
	}
	if g.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := d.print(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	return nil
}

// print writes the line of facts that Kafka's own tool writes, and a table of the partitions.
func (d *describedTopic) print(w io.Writer) error {
	fmt.Fprintf(w, "Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
		d.Topic, d.ID, len(d.Partitions), d.ReplicationFactor, strings.Join(d.set, ","))
	rows := make([][]string, len(d.Partitions))
	for i, p := range d.Partitions {
		rows[i] = []string{
			strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.LeaderEpoch)), commas(p.Replicas), commas(p.ISR),
			strconv.FormatInt(p.LogStart, 10), strconv.FormatInt(p.LogEnd, 10),
		}
	}
	return printTable(w, []string{"PARTITION", "LEADER", "LEADER-EPOCH", "REPLICAS", "ISR", "LOG-START-OFFSET", "LOG-END-OFFSET"}, rows)
}

func commas(ids []int32) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(texts, ",")
}
