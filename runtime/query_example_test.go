package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// An application is asked for what it has counted and committed so far.
func ExampleQuery() {
	var (
		clicks = stream.NewTopic("clicks", serde.String, serde.String)
		perKey = statestore.KeyValue("clicks-by-user", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	ktable.Count(stream.GroupByKey(stream.From(b, clicks)), perKey)
	topology, err := b.Build()
	check(err)

	address, stop := startLog() // any cluster will do
	defer stop()
	click(address, clicks.Name(), "ann", "bob", "ann")

	app, err := runtime.New(topology, runtime.Config{AppID: "counter", Brokers: []string{address}, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	if _, err := runtime.Query(app, perKey); err != nil {
		fmt.Println("too early")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }()
	for range time.Tick(5 * time.Millisecond) {
		if app.Progress().Done() {
			break
		}
	}

	counts, err := runtime.Query(app, perKey)
	check(err)
	n, found, err := counts.Get("ann")
	fmt.Println(n, found, err)
	for entry, err := range counts.Range(statestore.AtLeast("a").Backwards()) {
		fmt.Println(entry.Key, entry.Value, err)
	}
	cancel()
	fmt.Println("the end:", <-ended)
	// Output:
	// too early
	// 2 true <nil>
	// bob 1 <nil>
	// ann 2 <nil>
	// the end: <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// startLog serves a log that is kept in memory.
func startLog() (address string, stop func()) {
	server := &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	served := make(chan error)
	go func() { served <- server.Serve(ln) }()
	return ln.Addr().String(), func() {
		check(server.Shutdown(context.Background()))
		if err := <-served; !errors.Is(err, broker.ErrServerClosed) {
			panic(err)
		}
	}
}

// click makes the topic and writes a record for each user.
func click(address, topic string, users ...string) {
	ctx := context.Background()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	check(err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, topic)
	check(err)
	for _, user := range users {
		check(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(user), Value: []byte("/")}).FirstErr())
	}
}
