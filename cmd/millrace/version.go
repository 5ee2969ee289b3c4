package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version of a build that was made from a checkout; a build of a tagged module knows its own.
const release = "0.1.0-dev"

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() versionInfo {
	v := versionInfo{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v versionInfo) String() string {
	text := fmt.Sprintf("millrace %s (%s, %s", v.Version, v.Go, v.Platform)
	if v.Commit != "" {
		text += ", commit " + v.Commit[:min(len(v.Commit), 12)]
	}
	if v.Modified {
		text += " with changes"
	}
	return text + ")"
}

func versionCommand() *cobra.Command {
	g := &globals{}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  exactly(),
		Example: `  millrace version
  millrace version -o json
  millrace version --output text`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch g.output {
			case outputJSON:
				return printJSON(cmd.OutOrStdout(), version())
			case outputText:
				_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
				return err
			}
			return usagef("--output %s: want text or json", g.output)
		},
	}
	cmd.Flags().StringVarP(&g.output, "output", "o", outputText, "`FORMAT` of the output: text or json")
	return cmd
}
