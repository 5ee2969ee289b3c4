package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Source brings the changes of a database's tables into the log. Make one with [New].
type Source struct {
	cfg    Config
	gauges gauges
}

// New checks cfg; it connects to nobody yet. All faults are in one error.
func New(cfg Config) (*Source, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg}
	s.gauges.stats.State = Connecting
	return s, nil
}

// TopicOf is the topic that a table's changes go to: <name>.<schema>.<table>. In schema and table, what is no letter, digit or underscore of ASCII is written as a
// dash and two hexadecimal digits for each byte.
func (s *Source) TopicOf(schema, table string) string {
	return topicOf(s.cfg.Name, tableName{schema, table})
}

// Bounds of the pause between tries to reach a database or log that is away.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Run brings changes until ctx ends, and returns nil then. A database or a log that is away is waited for, at most RetryFor; anything else that it
// cannot mend by itself ends it with an error, one of this package's where the caller can do something. It may be run again after any error: it goes on
// where the log says.
func (s *Source) Run(ctx context.Context) error {
	defer s.gauges.state(Stopped, "")
	pause, away := firstPause, time.Now()
	resnapshot := s.cfg.Resnapshot
	for tries := 1; ; tries++ {
		began := false
		err := s.session(ctx, resnapshot, func() { began, resnapshot = true, false })
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errTablesChanged):
			pause, away, tries = firstPause, time.Now(), 0
			continue
		case isLasting(err):
			return err
		}
		if began {
			pause, away, tries = firstPause, time.Now(), 1
		}
		if time.Since(away) > s.cfg.RetryFor {
			return fmt.Errorf("%w after %v and %d tries: %w", ErrUnavailable, s.cfg.RetryFor, tries, err)
		}
		s.gauges.state(Waiting, err.Error())
		s.cfg.Log.Warn("waiting before the next try", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// session is one life of the connections to the database and the log. It calls ready when the stream has begun.
func (s *Source) session(ctx context.Context, resnapshot bool, ready func()) (err error) {
	if s.Stats().State != Waiting { // who waits says so until the stream runs again
		s.gauges.state(Connecting, "")
	}
	sn := &session{Source: s}
	defer sn.close()
	if err := sn.open(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { sn.sink.watch(ctx, cancel) })
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		cancel(nil)
		watching.Wait()
	}()
	if err := sn.resume(ctx, resnapshot); err != nil {
		return err
	}
	if err := sn.snapshots(ctx); err != nil {
		return err
	}
	s.cfg.Log.Info("streaming", "lsn", sn.committed)
	s.gauges.state(Streaming, "")
	ready()
	return sn.stream(ctx)
}
