package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func groupCommand(g *globals) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:   "group",
		Short: "Look at and delete consumer groups",
		Example: `  millrace group list
  millrace group describe wordcount
  millrace group delete readers`,
	})
	clientFlags(cmd, g)
	cmd.AddCommand(groupList(g), g.completing(groupDescribe(g), 0, groupNames), g.completing(groupDelete(g), 0, groupNames))
	return cmd
}

type groupSummary struct {
	Group        string `json:"group"`
	State        string `json:"state"`
	ProtocolType string `json:"protocol_type"`
	Coordinator  int32  `json:"coordinator"`
}

func groupList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the groups and their states",
		Args:    exactly(),
		Example: `  millrace group list
  millrace group list -o json
  millrace group list --brokers 127.0.0.1:9093`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				groups, err := adm.ListGroups(ctx)
				if err != nil {
					return explain("list groups", err, "")
				}
				all := []groupSummary{}
				for _, l := range groups.Sorted() {
					all = append(all, groupSummary{l.Group, l.State, l.ProtocolType, l.Coordinator})
				}
				if g.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), all)
				}
				rows := make([][]string, len(all))
				for i, s := range all {
					rows[i] = []string{s.Group, s.State, s.ProtocolType, strconv.Itoa(int(s.Coordinator))}
				}
				return printTable(cmd.OutOrStdout(), []string{"GROUP", "STATE", "PROTOCOL-TYPE", "COORDINATOR"}, rows)
			})
		},
	}
}

func groupDescribe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "describe GROUP…",
		Short: "Show the members, offsets and lag of groups",
		Args:  atLeastOne("GROUP"),
		Example: `  millrace group describe wordcount
  millrace group describe wordcount payments
  millrace group describe wordcount -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return describeGroups(ctx, cmd, g, adm, names)
			})
		},
	}
}

type describedGroup struct {
	Group       string        `json:"group"`
	State       string        `json:"state"`
	Protocol    string        `json:"protocol"`
	Coordinator int32         `json:"coordinator"`
	Members     int           `json:"members"`
	Lag         int64         `json:"lag"`
	Offsets     []groupOffset `json:"offsets"`
}

// groupOffset is one partition of a group; -1 stands for what is unknown.
type groupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Current   int64  `json:"current_offset"`
	LogEnd    int64  `json:"log_end_offset"`
	Lag       int64  `json:"lag"`
	Consumer  string `json:"consumer_id,omitempty"`
	Host      string `json:"host,omitempty"`
	Client    string `json:"client_id,omitempty"`
}

func describeGroups(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, names []string) error {
	if err := existingGroups(ctx, adm, names); err != nil {
		return err
	}
	lags, err := adm.Lag(ctx, names...)
	if err != nil {
		return explain("describe groups", err, "")
	}
	all := make([]describedGroup, 0, len(names))
	for _, name := range names {
		l := lags[name]
		d, err := describe(l), l.Error()
		if errors.Is(err, kerr.GroupIDNotFound) || err == nil && l.State == "Dead" {
			d, err = describeConsumer(ctx, adm, name) // it is in the list, so it may be of the other protocol
		}
		if err != nil {
			return explain(fmt.Sprintf("describe group %q", name), err, "")
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
		if err := d.print(cmd); err != nil {
			return err
		}
	}
	return nil
}

// existingGroups returns an error that names the first group that is not there and those that come near.
func existingGroups(ctx context.Context, adm *kadm.Client, names []string) error {
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return explain("list groups", err, "")
	}
	for _, name := range names {
		if _, ok := listed[name]; !ok {
			return fmt.Errorf("there is no group %q (%s)%s", name, kerr.GroupIDNotFound.Message, cmp.Or(didYouMean(name, listed.Groups()), ": "+hints[kerr.GroupIDNotFound]))
		}
	}
	return nil
}

func describe(l kadm.DescribedGroupLag) describedGroup {
	d := describedGroup{Group: l.Group, State: l.State, Protocol: l.Protocol, Coordinator: l.Coordinator.NodeID, Members: len(l.Members), Offsets: []groupOffset{}}
	for _, p := range l.Lag.Sorted() {
		o := groupOffset{Topic: p.Topic, Partition: p.Partition, Current: p.Commit.At, LogEnd: p.End.Offset, Lag: p.Lag}
		if p.Commit.At < 0 {
			o.Lag = -1
		}
		if p.Member != nil {
			o.Consumer, o.Host, o.Client = p.Member.MemberID, p.Member.ClientHost, p.Member.ClientID
		}
		d.Lag += max(o.Lag, 0)
		d.Offsets = append(d.Offsets, o)
	}
	slices.SortFunc(d.Offsets, func(a, b groupOffset) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return d
}

func (d *describedGroup) print(cmd *cobra.Command) error {
	fmt.Fprintf(cmd.OutOrStdout(), "Group: %s\tState: %s\tProtocol: %s\tCoordinator: %d\tMembers: %d\tLag: %d\n",
		d.Group, d.State, cmp.Or(d.Protocol, "-"), d.Coordinator, d.Members, d.Lag)
	rows := make([][]string, len(d.Offsets))
	for i, o := range d.Offsets {
		rows[i] = []string{d.Group, o.Topic, strconv.Itoa(int(o.Partition)), known(o.Current), known(o.LogEnd), known(o.Lag), o.Consumer, o.Host, o.Client}
	}
	return printTable(cmd.OutOrStdout(), []string{"GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"}, rows)
}

// known writes an offset, or nothing for -1.
func known(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
