package statestore_test

import (
	"fmt"
	"iter"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// clicks is the input of the examples.
var clicks = stream.NewTopic("clicks", serde.String, serde.String)

// clicked starts a driver over what the builder holds, and pipes the clicks of some users at some minutes.
func clicked(b *stream.Builder, users []string, minutes []int64) *runtimetest.Driver {
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	for i, user := range users {
		if err := runtimetest.Pipe(d, clicks, user, fmt.Sprint("/", i), minutes[i]*time.Minute.Milliseconds()); err != nil {
			panic(err)
		}
	}
	return d
}

// list prints what a walk finds, in one line.
func list[E any](walk iter.Seq2[E, error], text func(E) string) {
	var line []any
	for e, err := range walk {
		if err != nil {
			panic(err)
		}
		line = append(line, text(e))
	}
	fmt.Println(line...)
}

// Windows by key, by a range of keys, and by time.
func ExampleReadOnlyWindow() {
	perMinute := statestore.Window("clicks-per-minute", serde.String, serde.Int64).Retain(time.Hour)
	b := stream.NewBuilder()
	ktable.CountWindows(stream.WindowBy(stream.GroupByKey(stream.From(b, clicks)), stream.Tumbling(time.Minute)), perMinute)
	d := clicked(b, []string{"ann", "bob", "cid", "bob", "bob"}, []int64{0, 1, 1, 1, 3})
	defer d.Close()

	minute := time.Minute.Milliseconds()
	windows := runtimetest.Window(d, perMinute)
	text := func(w statestore.WindowEntry[string, int64]) string {
		return fmt.Sprint(w.Key, "@", w.Start/minute, "=", w.Value)
	}
	list(windows.FetchRange("bob", 0, 4*minute), text)
	list(windows.FetchKeys(statestore.Between("ann", "bob").Inclusive(), minute, 4*minute), text)
	list(windows.FetchKeys(statestore.AtLeast("bob").Backwards(), 0, 2*minute), text)
	list(windows.FetchAllBackwards(0, 4*minute), text)
	// Output:
	// bob@1=2 bob@3=1
	// bob@1=2 bob@3=1
	// cid@1=1 bob@1=2
	// cid@1=1 bob@3=1 bob@1=2 ann@0=1
}

// Sessions of a key and of a range of keys, which overlap some time.
func ExampleReadOnlySession() {
	visits := statestore.Session("visits", serde.String, serde.Int64).Retain(24 * time.Hour)
	b := stream.NewBuilder()
	ktable.CountSessions(stream.SessionBy(stream.GroupByKey(stream.From(b, clicks)), stream.Sessions(10*time.Minute)), visits)
	d := clicked(b, []string{"ann", "bob", "ann", "bob", "cid"}, []int64{0, 2, 5, 40, 41})
	defer d.Close()

	minute := time.Minute.Milliseconds()
	sessions := runtimetest.Session(d, visits)
	text := func(s statestore.SessionEntry[string, int64]) string {
		return fmt.Sprint(s.Key, "@", s.Start/minute, "-", s.End/minute, "=", s.Value)
	}
	list(sessions.FetchBackwards("bob"), text)
	list(sessions.FindSessions("bob", 30*minute, 60*minute), text)
	list(sessions.FindSessionsOfKeys(statestore.Between("ann", "cid"), 0, 10*minute), text)
	list(sessions.FetchKeys(statestore.AtLeast("bob").Backwards()), text)
	// Output:
	// bob@40-40=1 bob@2-2=1
	// bob@40-40=1
	// ann@0-5=2 bob@2-2=1
	// cid@41-41=1 bob@40-40=1 bob@2-2=1
}

// What a key has, what it had, and when that changed.
func ExampleReadOnlyVersioned() {
	pages := statestore.Versioned("pages", serde.String, serde.String, 24*time.Hour)
	b := stream.NewBuilder()
	ktable.FromVersioned(b, clicks, pages)
	d := clicked(b, []string{"ann", "ann", "ann"}, []int64{0, 20, 10}) // the last one comes late
	defer d.Close()

	minute := time.Minute.Milliseconds()
	history := runtimetest.Versioned(d, pages)
	page, at, _, err := history.Get("ann")
	fmt.Println(page, at/minute, err)
	page, at, _, err = history.GetAsOf("ann", 15*minute)
	fmt.Println(page, at/minute, err)
	text := func(v statestore.Version[string]) string { return fmt.Sprint(v.Value, "@", v.ValidFrom/minute) }
	list(history.Versions("ann", 0, 15*minute), text)
	list(history.VersionsBackwards("ann", 0, 30*minute), text)
	// Output:
	// /1 20 <nil>
	// /2 10 <nil>
	// /0@0 /2@10
	// /1@20 /2@10 /0@0
}
