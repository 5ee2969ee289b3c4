package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseOptions(args, stdout)
	switch {
	case err != nil:
	case o.role != "":
		err = child(ctx, o)
	default:
		err = cdc(ctx, o, stdout, stderr)
	}
	switch {
	case err == nil, errors.Is(err, errHelp):
		return exitDone
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "cdc: stopped before the end")
		return exitInterrupted
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "cdc: %v\nTry: go run ./examples/cdc --help\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "cdc: %v\n", err)
		return exitFailed
	}
}
