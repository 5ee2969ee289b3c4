package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultBroker is where dev and broker listen unless told otherwise.
const defaultBroker = "127.0.0.1:9092"

// globals are the flags that every command of the topic and group families takes.
type globals struct {
	brokers []string
	output  string
}

func rootCommand() *cobra.Command {
	g := &globals{}
	root := family(&cobra.Command{
		Use:   "millrace",
		Short: "A log server that speaks Kafka's protocol, and the tool that looks after one",
		Example: `  millrace dev
  millrace topic create orders --partitions 4
  echo hello | millrace topic produce orders
  millrace topic consume orders --end`,
		Version:       version().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "bootstrap-server" { // what Kafka's own tools call it
			name = "brokers"
		}
		return pflag.NormalizedName(name)
	})
	root.AddCommand(devCommand(), brokerCommand(), topicCommand(g), groupCommand(g), cdcCommand(), versionCommand())
	return root
}

// clientFlags adds the flags of globals to a family of commands.
func clientFlags(cmd *cobra.Command, g *globals) {
	cmd.PersistentFlags().StringSliceVar(&g.brokers, "brokers", []string{defaultBroker}, "brokers to ask first, `HOST:PORT,…` (also --bootstrap-server)")
	cmd.PersistentFlags().StringVarP(&g.output, "output", "o", outputText, "`FORMAT` of the output: text or json")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		if g.output != outputText && g.output != outputJSON {
			return usagef("--output %s: want text or json", g.output)
		}
		if len(g.brokers) == 0 || slices.Contains(g.brokers, "") {
			return usagef("--brokers has an empty address: want HOST:PORT,…")
		}
		return nil
	}
}

// family makes a command that only holds others: without one of them it shows its help, an unknown one is a usage error with the names that come near.
func family(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		names := make([]string, 0, len(cmd.Commands()))
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return usagef("there is no command %q%s", args[0], didYouMean(args[0], names))
	}
	return cmd
}
