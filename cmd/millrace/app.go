package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func appCommand(g *globals) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:   "app",
		Short: "Look after applications: topologies that run under an id",
		Example: `  millrace app reset wordcount
  millrace app reset wordcount --yes`,
	})
	clientFlags(cmd, g)
	cmd.AddCommand(g.completing(appReset(g), 1, groupNames))
	return cmd
}

func appReset(g *globals) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "reset APP",
		Short: "Let an application begin anew: forget what it has read and kept",
		Long: `Let an application begin anew. Its group goes, and with it what it has read; so do its internal topics, APP-…-changelog and APP-…-repartition, and with them its state.
Its input and output topics stay. Stop every instance first, and remove its StateDir before you start it again: it then reads from where the topology says.
Without --yes nothing is done: the command shows what would go.`,
		Args: exactly("APP"),
		Example: `  millrace app reset wordcount
  millrace app reset wordcount --yes
  millrace app reset wordcount --yes -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return resetApp(ctx, cmd, g, adm, args[0], yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// appRemains is what a cluster holds of an application.
type appRemains struct {
	App    string   `json:"app"`
	Group  bool     `json:"group"`
	Topics []string `json:"topics"`
	Reset  bool     `json:"reset"` // it is gone
}

func resetApp(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, app string, yes bool) error {
	r, err := findApp(ctx, adm, app)
	if err != nil {
		return err
	}
	if yes {
		if err := r.remove(ctx, adm); err != nil {
			return err
		}
	}
	if g.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), r)
	}
	verb, rest := "Would delete", "Nothing is done yet: stop every instance, then say it again with --yes.\n"
	if r.Reset {
		verb, rest = "Deleted", "Remove the StateDir of every instance before you start it again.\n"
	}
	var text strings.Builder
	if r.Group {
		fmt.Fprintf(&text, "%s group %s.\n", verb, app)
	}
	for _, topic := range r.Topics {
		fmt.Fprintf(&text, "%s topic %s.\n", verb, topic)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), text.String()+rest)
	return err
}

// findApp looks for the group and the internal topics of an application that does not run.
func findApp(ctx context.Context, adm *kadm.Client, app string) (*appRemains, error) {
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, explain("list groups", err, "")
	}
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, explain("list topics", err, "")
	}
	group, there := groups[app]
	if there && group.State != "Empty" && group.State != "Dead" {
		return nil, fmt.Errorf("application %s runs (its group is %s): stop every instance, and wait for the session time-out of those that were killed", app, group.State)
	}
	r := &appRemains{App: app, Group: there, Topics: internalTopics(app, topics.Names(), groups.Groups())}
	if !there && len(r.Topics) == 0 {
		return nil, fmt.Errorf("there is no application %q: neither its group nor a topic %s-…-changelog or %s-…-repartition%s", app, app, app, didYouMean(app, groups.Groups()))
	}
	return r, nil
}

// internalTopics returns the names that are an application's. Those of another one, whose id begins in the same way, are told apart by its group.
func internalTopics(app string, topics, groups []string) []string {
	found := []string{}
	for _, topic := range topics {
		if !strings.HasPrefix(topic, app+"-") || !strings.HasSuffix(topic, "-changelog") && !strings.HasSuffix(topic, "-repartition") {
			continue
		}
		if !slices.ContainsFunc(groups, func(other string) bool { return len(other) > len(app) && strings.HasPrefix(topic, other+"-") }) {
			found = append(found, topic)
		}
	}
	slices.Sort(found)
	return found
}

// remove deletes what is left of an application. The group comes first: a broker refuses that when an instance has started in the meantime.
func (r *appRemains) remove(ctx context.Context, adm *kadm.Client) error {
	if r.Group {
		if err := deleteGroup(ctx, adm, r.App); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return err
		}
	}
	if len(r.Topics) > 0 {
		answers, err := adm.DeleteTopics(ctx, r.Topics...)
		if err != nil {
			return explain("delete topics", err, "")
		}
		var faults []error
		for _, a := range answers.Sorted() {
			if a.Err != nil && !errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
				faults = append(faults, explain(fmt.Sprintf("delete topic %q", a.Topic), a.Err, a.ErrMessage))
			}
		}
		if err := joinLines(faults); err != nil {
			return err
		}
	}
	r.Reset = true
	return nil
}
