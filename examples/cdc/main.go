package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/millrace-io/millrace/examples/internal/command"
)

func main() { command.Main(run) }

func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseOptions(args, stdout)
	switch {
	case err != nil:
	case o.role != "":
		err = child(ctx, o)
	default:
		err = cdc(ctx, o, stdout, stderr)
	}
	if err != nil { // that of a child, killed by the same Ctrl-C, does not tell
		err = errors.Join(err, ctx.Err())
	}
	return command.Code(ctx, "cdc", err, "", stderr)
}
