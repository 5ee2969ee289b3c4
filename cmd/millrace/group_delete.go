package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func groupDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "delete GROUP…",
		Aliases: []string{"rm"},
		Short:   "Delete groups without members, with the offsets that they have committed",
		Args:    atLeastOne("GROUP"),
		Example: `  millrace group delete readers
  millrace group delete readers others
  millrace group delete readers -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				if err := existingGroups(ctx, adm, names); err != nil {
					return err
				}
				return deleteGroups(ctx, cmd, g, adm, names)
			})
		},
	}
}

func deleteGroups(ctx context.Context, cmd *cobra.Command, g *globals, adm *kadm.Client, names []string) error {
	type deleted struct {
		Group   string `json:"group"`
		Deleted bool   `json:"deleted"`
	}
	all := []deleted{}
	var faults []error
	for _, name := range names {
		err := deleteGroup(ctx, adm, name)
		faults = append(faults, err)
		if err == nil && g.output == outputText {
			fmt.Fprintf(cmd.OutOrStdout(), "Deleted group %s.\n", name)
		}
		all = append(all, deleted{name, err == nil})
	}
	if g.output == outputJSON {
		faults = append(faults, printJSON(cmd.OutOrStdout(), all))
	}
	return joinLines(faults)
}

func deleteGroup(ctx context.Context, adm *kadm.Client, name string) error {
	answer, err := adm.DeleteGroup(ctx, name)
	if err == nil {
		err = answer.Err
	}
	return explain(fmt.Sprintf("delete group %q", name), err, "")
}
