package docs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Payment is what the guide's topics hold.
type Payment struct {
	From  string
	Cents int64
}

func Example_first() {
	var (
		payments = stream.NewTopic("payments", serde.String, serde.JSON[Payment]())
		large    = stream.NewTopic("large-payments", serde.String, serde.JSON[Payment]())
	)

	b := stream.NewBuilder()
	all := stream.From(b, payments)
	big := stream.Filter(all, func(_ string, p Payment) bool { return p.Cents >= 100_000 })
	stream.To(big, large)
	topology, err := b.Build()
	if err != nil {
		panic(err) // every mistake at once, each with its line
	}

	d, err := runtimetest.New(topology, runtimetest.Config{})
	check(err)
	defer d.Close()
	check(runtimetest.Pipe(d, payments, "p1", Payment{"ann", 250_000}, 0))
	check(runtimetest.Pipe(d, payments, "p2", Payment{"bob", 900}, 1))
	for _, r := range runtimetest.Output(d, large) {
		fmt.Println(r.Key, r.Value.From, r.Value.Cents)
	}
	// Output:
	// p1 ann 250000
}

func Example_streams() {
	var (
		payments = stream.NewTopic("payments", serde.String, serde.JSON[Payment]())
		words    = stream.NewTopic("words", serde.String, serde.String)
		refunds  = stream.NewTopic("refunds", serde.String, serde.Int64)
		others   = stream.NewTopic("others", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()

	byPayer := stream.SelectKey(stream.From(b, payments), func(_ string, p Payment) string { return p.From })
	cents := stream.MapValues(byPayer, func(p Payment) int64 { return p.Cents })

	kinds := stream.Split(cents)
	stream.To(kinds.Branch("refunds", func(_ string, c int64) bool { return c < 0 }), refunds)
	stream.To(kinds.Default("others"), others)

	text := stream.FlatMapValues(stream.From(b, words), strings.FieldsSeq)
	stream.ForEach(stream.Peek(text, func(key, word string) {}), func(key, word string) { fmt.Println("word", word) })

	checked := stream.MapValuesCtx(stream.From(b, payments), func(ctx context.Context, key string, p Payment) (string, error) {
		if p.From == "" {
			return "", errors.New("a payment from nobody")
		}
		return p.From, nil
	})
	stream.Print(checked, discard{}, "checked")

	d := drive(b)
	defer d.Close()
	check(runtimetest.Pipe(d, payments, "p1", Payment{"ann", -500}, 0))
	check(runtimetest.Pipe(d, payments, "p2", Payment{"bob", 900}, 1))
	check(runtimetest.Pipe(d, words, "", "to be", 2))
	show(d, refunds)
	show(d, others)
	// Output:
	// word to
	// word be
	// ann -500
	// bob 900
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Reading is a measurement.
type Reading struct {
	At      int64 // milliseconds since 1970
	Celsius float64
}

func Example_time() {
	var (
		readings = stream.NewTopic("readings", serde.String, serde.JSON[Reading]()).
				EventTime(func(_ string, r Reading, recordTime, partitionTime int64) int64 { return r.At })
		perMinute = statestore.Window("readings-per-minute", serde.String, serde.Int64)
		counts    = stream.NewTopic("counts", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	)
	b := stream.NewBuilder()
	minutes := stream.WindowBy(stream.GroupByKey(stream.From(b, readings)), stream.Tumbling(time.Minute).Grace(10*time.Second))
	stream.To(ktable.ToStream(ktable.CountWindows(minutes, perMinute)), counts)

	d := drive(b)
	defer d.Close()
	second := int64(1000)
	for _, at := range []int64{5, 50, 65, 59, 75, 58} { // 59 comes late, but within the grace; 58 too late
		check(runtimetest.Pipe(d, readings, "roof", Reading{at * second, 20}, 0))
	}
	for _, r := range runtimetest.Output(d, counts) {
		fmt.Println(r.Key.Key, r.Key.Start/second, r.Value)
	}
	fmt.Println(d.Dropped(), "dropped")
	// Output:
	// roof 0 1
	// roof 0 2
	// roof 60 1
	// roof 0 3
	// roof 60 2
	// 1 dropped
}

func Example_windows() {
	var (
		clicks   = stream.NewTopic("clicks", serde.String, serde.String)
		visits   = stream.NewTopic("visits", serde.SessionWindowed(serde.String), serde.Int64)
		sessions = statestore.Session("sessions", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	byUser := stream.GroupByKey(stream.From(b, clicks))
	visit := stream.SessionBy(byUser, stream.Sessions(30*time.Minute).Grace(5*time.Minute)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountSessions(visit, sessions)), visits)

	d := drive(b)
	defer d.Close()
	minute := int64(60_000)
	for _, at := range []int64{0, 10, 25, 120, 200} {
		check(runtimetest.Pipe(d, clicks, "ann", "/", at*minute))
	}
	for _, r := range runtimetest.Output(d, visits) {
		fmt.Println(r.Key.Key, r.Key.Start/minute, r.Key.End/minute, r.Value)
	}
	// Output:
	// ann 0 25 3
	// ann 120 120 1
}

func Example_silence() {
	var (
		pings     = stream.NewTopic("pings", serde.String, serde.String)
		perMinute = statestore.Window("pings-per-minute", serde.String, serde.Int64)
		counts    = stream.NewTopic("counts", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	)
	b := stream.NewBuilder()
	in := stream.From(b, pings, stream.IdleAfter(30*time.Second))
	minutes := stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(time.Minute)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(minutes, perMinute)), counts)

	d := drive(b)
	defer d.Close()
	check(runtimetest.Pipe(d, pings, "roof", "here", 50_000))
	check(d.AdvanceWallClock(time.Minute))
	for _, r := range runtimetest.Output(d, counts) {
		fmt.Println(r.Key.Key, r.Key.Start, r.Value)
	}
	// Output:
	// roof 0 1
}

// User and Order are rows of tables.
type (
	User  struct{ Name, City string }
	Order struct {
		User  string
		Cents int64
	}
)

func Example_tables() {
	var (
		users    = stream.NewTopic("users", serde.String, serde.JSON[User]())
		rows     = statestore.KeyValue("users", serde.String, serde.JSON[User]())
		byCity   = stream.NewTopic("users-by-city", serde.String, serde.String)
		perCity  = statestore.KeyValue("users-per-city", serde.String, serde.Int64)
		inCities = stream.NewTopic("users-in-cities", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()

	table := ktable.From(b, users, rows)
	cities := ktable.GroupBy(table, func(id string, u User) (string, string) { return u.City, id }, byCity)
	stream.To(ktable.ToStream(ktable.CountRows(cities, perCity)), inCities)

	d := drive(b)
	defer d.Close()
	check(runtimetest.Pipe(d, users, "1", User{"Ann", "Ghent"}, 0))
	check(runtimetest.Pipe(d, users, "2", User{"Bob", "Ghent"}, 1))
	check(runtimetest.Pipe(d, users, "1", User{"Ann", "Oslo"}, 2)) // Ann moves
	check(runtimetest.PipeTombstone(d, users, "2", 3))             // Bob leaves
	ghent, _, err := runtimetest.KeyValue(d, perCity).Get("Ghent")
	check(err)
	oslo, _, err := runtimetest.KeyValue(d, perCity).Get("Oslo")
	check(err)
	fmt.Println(ghent, oslo)
	// Output:
	// 0 1
}

func Example_joins() {
	var (
		users    = stream.NewTopic("users", serde.String, serde.JSON[User]())
		orders   = stream.NewTopic("orders", serde.String, serde.JSON[Order]())
		userRows = statestore.KeyValue("users", serde.String, serde.JSON[User]())
		orderRow = statestore.KeyValue("orders", serde.String, serde.JSON[Order]())
		owner    = ktable.NewForeignKey("order-user", serde.String, serde.JSON[Order](), serde.String, serde.JSON[User]())
		bills    = stream.NewTopic("bills", serde.String, serde.String)
	)
	b := stream.NewBuilder()

	bill := ktable.JoinForeign(ktable.From(b, orders, orderRow), ktable.From(b, users, userRows),
		func(o Order) (string, bool) { return o.User, true },
		func(o Order, u User) string { return fmt.Sprintf("%s pays %d", u.Name, o.Cents) },
		owner)
	stream.To(ktable.ToStream(bill), bills)

	d := drive(b)
	defer d.Close()
	check(runtimetest.Pipe(d, orders, "o1", Order{"u1", 500}, 0))
	check(runtimetest.Pipe(d, users, "u1", User{"Ann", "Ghent"}, 1))
	check(runtimetest.Pipe(d, users, "u1", User{"Anna", "Ghent"}, 2))
	show(d, bills)
	// Output:
	// o1 Ann pays 500
	// o1 Anna pays 500
}

// Paid is a payment for an order.
type Paid struct {
	Order string
	Cents int64
}

func Example_streamJoin() {
	var (
		orders   = stream.NewTopic("orders", serde.String, serde.JSON[Order]())
		payments = stream.NewTopic("payments", serde.String, serde.JSON[Paid]())
		receipts = stream.NewTopic("receipts", serde.String, serde.String)
		kept     = stream.NewJoinState("orders-with-payments", serde.String, serde.JSON[Order](), serde.JSON[Paid]())
	)
	b := stream.NewBuilder()

	byOrder := stream.SelectKey(stream.From(b, payments), func(_ string, p Paid) string { return p.Order })
	paid := stream.Join(stream.From(b, orders), byOrder, func(o Order, p Paid) string { return fmt.Sprintf("%s paid %d of %d", o.User, p.Cents, o.Cents) },
		stream.Within(time.Hour).Grace(time.Minute), kept)
	stream.To(paid, receipts)

	d := drive(b)
	defer d.Close()
	minute := int64(60_000)
	check(runtimetest.Pipe(d, orders, "o1", Order{"ann", 500}, 0))
	check(runtimetest.Pipe(d, payments, "p7", Paid{"o1", 200}, 5*minute))
	check(runtimetest.Pipe(d, payments, "p8", Paid{"o1", 300}, 61*minute)) // too late
	show(d, receipts)
	// Output:
	// o1 ann paid 200 of 500
}

func Example_stores() {
	var (
		seen   = statestore.KeyValue("seen", serde.String, serde.Int64).ExpireAfter(24 * time.Hour)
		recent = statestore.KeyValue("recent", serde.String, serde.Int64).InMemory().WithoutChangelog()
		visits = stream.NewTopic("visits", serde.String, serde.String)
	)
	b := stream.NewBuilder()
	byUser := stream.GroupByKey(stream.From(b, visits))
	ktable.Count(byUser, seen)
	ktable.Count(byUser, recent)

	d := drive(b)
	defer d.Close()
	for i, user := range []string{"ann", "bob", "ann"} {
		check(runtimetest.Pipe(d, visits, user, "/", int64(i)))
	}
	for entry, err := range runtimetest.KeyValue(d, recent).Range(statestore.AtLeast("a").Backwards()) {
		check(err)
		fmt.Println(entry.Key, entry.Value)
	}
	n, found, err := runtimetest.KeyValue(d, seen).Get("ann")
	check(err)
	fmt.Println(n, found)
	// Output:
	// bob 1
	// ann 2
	// 2 true
}

func Example_processors() {
	var (
		heartbeats = stream.NewTopic("heartbeats", serde.String, serde.String)
		silent     = stream.NewTopic("silent", serde.String, serde.String)
		lastSeen   = statestore.KeyValue("last-seen", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()

	alarms := stream.Process(stream.From(b, heartbeats), func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		last := stream.Store(p, lastSeen)
		p.Every(stream.WallClock, time.Minute, func(now int64) error {
			for entry, err := range last.All() {
				if err != nil {
					return err
				}
				if now-entry.Timestamp < time.Minute.Milliseconds() {
					continue
				}
				alarm := stream.Record[string, string]{Key: entry.Key, Value: "silent", Timestamp: now}
				if err := errors.Join(last.Delete(entry.Key, now), p.Forward(alarm)); err != nil {
					return err
				}
			}
			return nil
		})
		return func(r *stream.Record[string, string]) error { return last.Put(r.Key, 1, p.Now()) }
	}, lastSeen)
	stream.To(alarms, silent)

	d := drive(b)
	defer d.Close()
	check(runtimetest.Pipe(d, heartbeats, "pump", "ok", 0))
	check(d.AdvanceWallClock(90 * time.Second))
	check(d.AdvanceWallClock(90 * time.Second))
	show(d, silent)
	// Output:
	// pump silent
}

func Example_faults() {
	var (
		amounts = stream.NewTopic("amounts", serde.String, serde.Int64)
		shares  = stream.NewTopic("shares", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	stream.To(stream.MapValues(stream.From(b, amounts), func(n int64) int64 { return 100 / n }), shares) // 0 panics
	topology, err := b.Build()
	check(err)

	d, err := runtimetest.New(topology, runtimetest.Config{Faults: stream.Faults{
		Deserialization: stream.DeadLetterFaults,
		Processing: func(f *stream.Fault) stream.Decision {
			return stream.Skip
		},
		DeadLetterTopic: "amounts-dead-letters",
	}})
	check(err)
	defer d.Close()
	check(runtimetest.Pipe(d, amounts, "a", int64(0), 0))
	check(d.PipeRaw("amounts", []byte("b"), []byte("not eight bytes"), 1))
	check(runtimetest.Pipe(d, amounts, "c", int64(4), 2))
	show(d, shares)
	fmt.Println(len(d.OutputRaw("amounts-dead-letters")), "dead letter,", d.Dropped(), "dropped")
	// Output:
	// c 25
	// 1 dead letter, 2 dropped
}
