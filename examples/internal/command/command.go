package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit codes.
const (
	Done        = 0
	Failed      = 1
	Misused     = 2
	Interrupted = 130
)

var (
	// ErrUsage is what every UsageError is.
	ErrUsage = errors.New("usage")
	// ErrHelp says that help was asked for and given.
	ErrHelp = errors.New("help")
)

// UsageError is a fault in the command line.
type UsageError string

func (e UsageError) Error() string        { return string(e) }
func (e UsageError) Is(target error) bool { return target == ErrUsage }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError(fmt.Sprintf(format, args...)) }

// Main runs a program with a context that ends with the first Ctrl-C or SIGTERM; a second ends the process at once. It does not return.
func Main(run func(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Code tells the user on stderr how the program called name ended, and returns its exit code. goOn is added when it was interrupted.
func Code(ctx context.Context, name string, err error, goOn string, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, ErrHelp):
		return Done
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		fmt.Fprintf(stderr, "%s: stopped before the end%s\n", name, goOn)
		return Interrupted
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %v\nTry: go run ./examples/%[1]s --help\n", name, err)
		return Misused
	default:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return Failed
	}
}

// NewFlags returns an empty set of flags that keeps their order and says nothing itself.
func NewFlags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	return f
}

// Parse reads a command line. When help is asked for it writes usage and the flags to out and returns ErrHelp.
func Parse(f *pflag.FlagSet, args []string, usage string, out io.Writer) error {
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(out, usage, f.FlagUsages())
		return ErrHelp
	case err != nil:
		return UsageError(err.Error())
	}
	return nil
}

// CheckBrokers trims the addresses that --brokers gave, if it was given, and refuses an empty list.
func CheckBrokers(f *pflag.FlagSet, brokers []string) error {
	for i, b := range brokers {
		brokers[i] = strings.TrimSpace(b)
	}
	if f.Changed("brokers") && strings.Join(brokers, "") == "" {
		return UsageError("--brokers: want HOST:PORT, more after commas")
	}
	return nil
}
