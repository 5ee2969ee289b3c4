package main

import (
	"io"
	"time"

	"github.com/millrace-io/millrace/examples/internal/command"
)

const usage = `Keeps an answer about a Postgres database up to date while the database changes, and compares it with SQL at the end.

Usage:
  go run ./examples/cdc [FLAGS]

Without flags it starts a private Postgres and a log of its own, and removes both at the end.

Flags:
`

// options is the command line, checked.
type options struct {
	postgres string // URL; empty: a private server
	brokers  []string
	data     string // empty: a temporary directory that is removed at the end
	rate     int
	duration time.Duration
	changes  int64 // 0: as many as the duration gives
	kill     int

	role  string // of a child: connector or app
	fresh bool   // the connector's first start: whatever earlier runs left is replaced
}

// Roles of a child process, when the parts are to be killed.
const (
	roleConnector = "connector"
	roleApp       = "app"
)

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{}
	f := command.NewFlags("cdc")
	f.StringVar(&o.postgres, "postgres", "", "use the database at this `URL` instead of a private one: wal_level=logical, and a user who may replicate and make a schema")
	f.StringSliceVar(&o.brokers, "brokers", nil, "use the cluster at these `HOST:PORT,…` instead of a log inside this process")
	f.StringVar(&o.data, "data", "", "keep everything in this `DIR` instead of a temporary one")
	f.IntVar(&o.rate, "rate", 2000, "changes a second; 0 for as many as the database takes")
	f.DurationVar(&o.duration, "duration", 8*time.Second, "how long the database changes")
	f.Int64Var(&o.changes, "changes", 0, "end after so many changes instead")
	f.IntVar(&o.kill, "kill", 0, "kill connector and application with SIGKILL so many times each on the way")
	f.StringVar(&o.role, "role", "", "")
	f.BoolVar(&o.fresh, "fresh", false, "")
	for _, name := range []string{"role", "fresh"} {
		_ = f.MarkHidden(name) // for children of this program; the flag exists
	}
	if err := command.Parse(f, args, usage, out); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, command.Usagef("unexpected argument %q", f.Arg(0))
	}
	if err := command.CheckBrokers(f, o.brokers); err != nil {
		return o, err
	}
	return o, o.validate()
}

// maxKills bounds --kill: each costs a start of a process.
const maxKills = 1000

func (o *options) validate() error {
	switch {
	case o.rate < 0:
		return command.Usagef("--rate %d: want 0 or more", o.rate)
	case o.duration <= 0:
		return command.Usagef("--duration %v: want more than 0", o.duration)
	case o.changes < 0:
		return command.Usagef("--changes %d: want more than 0", o.changes)
	case o.kill < 0 || o.kill > maxKills:
		return command.Usagef("--kill %d: want 0 to %d", o.kill, maxKills)
	case o.role != "" && o.role != roleConnector && o.role != roleApp:
		return command.Usagef("--role %s: is for children of this program", o.role)
	}
	return nil
}
