package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// IdleAfter lets time go on when the input falls silent. A partition from which no record has come for timeout of the wall clock is silent until the next comes: a task with several
// input partitions does not wait for it, whatever MaxTaskIdle says. When all input partitions of a task are silent, and a record has come before, its stream time goes on with the
// wall clock, from where it stood and from when the last of the time-outs was over: windows and sessions close and give their results, suppressed tables and joins give what they
// held back, and stream-time punctuations are called. Off by default.
//
// The price: what comes after a silence can be late. A record whose time is behind the clock by more than timeout and the grace of its window is dropped and counted, as if others
// had come meanwhile, and results then depend on when records came, not on their times alone: the same input read again may give others. Choose a timeout longer than what is usual between
// two records and on their way. A replay of old records is not disturbed as long as it does not pause, nor is a time counted in which the broker could not be asked.
//
// Every input of a task must have the option for its time to go on: one without it, be it a table's, is never silent. A repartition topic has the longest time-out of the inputs
// that feed it; behind one, windows over the results of windows need a grace as long as those take to close. What was given out stays closed after a crash: the time that was reached
// is committed with it. Otherwise an application that starts again waits for the whole time-out first.
func IdleAfter(timeout time.Duration) SourceOption {
	return func(c *sourceConfig) { c.idle, c.idles = timeout, true }
}

// checkIdle reports a time-out that cannot be, and returns it.
func (c *sourceConfig) checkIdle(op topology.Op, g *topology.Graph) time.Duration {
	if c.idles && c.idle < time.Millisecond {
		g.Fault(op, "silent after %v: give 1ms or more", c.idle)
	}
	checkMillis(op, g, c.idle)
	return c.idle
}
