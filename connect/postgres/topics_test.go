package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// remake makes a topic, again if it is there, as somebody does who wants it empty.
func (w *world) remake(topic string, partitions int32, configs map[string]*string) {
	w.t.Helper()
	admin := kadm.NewClient(w.broker.Client(w.t))
	if _, err := admin.DeleteTopic(w.t.Context(), topic); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		w.t.Fatal(err)
	}
	if _, err := admin.CreateTopic(w.t.Context(), partitions, 1, configs, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		w.t.Fatal(err) // the connector may have been first
	}
}

// A topic that somebody makes anew has lost the rows that were in it: they come again, whether the connector sees it happen or not.
func TestTopicMadeAnewGetsANewSnapshot(t *testing.T) {
	for name, stopped := range map[string]bool{"while running": false, "while stopped": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);
				INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)`)
			r := w.run(w.config("orders", "other"))
			w.caughtUp(r)
			if stopped {
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			w.remake(w.name+".public.orders", 4, nil)
			w.exec("DELETE FROM orders WHERE id = 2; INSERT INTO orders VALUES (3, 'c', 3)")
			if stopped {
				r = w.run(w.config("orders", "other"))
			}
			w.eventuallyDone("the topic has its rows again", func() bool { return len(w.state("public.orders")) == 2 })
			w.exec("INSERT INTO orders VALUES (4, 'd', 4)")
			w.caughtUp(r)
			w.wantState("public.orders", map[string]string{
				`{"id":1}`: `{"id":1,"note":"a","total":"1"}`, `{"id":3}`: `{"id":3,"note":"c","total":"3"}`, `{"id":4}`: `{"id":4,"note":"d","total":"4"}`,
			})
			if n := len(w.records("public.other")); n != 1 {
				t.Errorf("the other table has %d records: its topic was left alone", n)
			}
		})
	}
}

// A topic that is deleted while nothing is written to it is noticed too.
func TestTopicDeletedWhileQuietGetsANewSnapshot(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	topic := w.name + ".public.orders"
	if _, err := kadm.NewClient(w.broker.Client(t)).DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	w.eventuallyDone("the topic is there again", func() bool {
		all, err := w.tryRead(topic)
		return err == nil && len(all) == 1
	})
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":"1"}`})
}

// Without the positions nothing of the topics is known: all tables are read again, and rows that went meanwhile go.
func TestPositionTopicDeletedWhileRunning(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	if _, err := kadm.NewClient(w.broker.Client(t)).DeleteTopic(t.Context(), w.name+positionSuffix); err != nil {
		t.Fatal(err)
	}
	w.exec("DELETE FROM orders WHERE id = 1; INSERT INTO orders VALUES (3, 'c', 3)")
	w.eventuallyDone("the position is there again", func() bool {
		at, err := ReadPosition(t.Context(), w.config("orders"))
		return err == nil && len(at.Tables) == 1
	})
	w.caughtUp(r)
	w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"b","total":"2"}`, `{"id":3}`: `{"id":3,"note":"c","total":"3"}`})
}

// With more partitions the changes of a key would go on in another one than they began in.
func TestTopicThatGrewIsRefused(t *testing.T) {
	for name, stopped := range map[string]bool{"while running": false, "while stopped": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sharedServer(t), ordersSchema)
			r := w.run(w.config("orders"))
			w.caughtUp(r)
			if stopped {
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			grown, err := kadm.NewClient(w.broker.Client(t)).CreatePartitions(t.Context(), 2, w.name+".public.orders")
			if err != nil || grown.Error() != nil {
				t.Fatal(err, grown.Error())
			}
			if stopped {
				r = w.run(w.config("orders"))
			}
			r.ends(errUnfitTopic, "has 6 partitions, and had 4")
		})
	}
}

// Positions that a topic may lose, or give back in another order, are no positions.
func TestPositionTopicThatForgetsIsRefused(t *testing.T) {
	policy := func(p string) map[string]*string { return map[string]*string{"cleanup.policy": &p} }
	for name, c := range map[string]struct {
		partitions int32
		configs    map[string]*string
		text       string
	}{
		"deletes by age":      {1, policy("delete"), "cleanup.policy is delete"},
		"also deletes by age": {1, policy("compact,delete"), "cleanup.policy is compact,delete"},
		"has partitions":      {3, policy("compact"), "has 3 partitions"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sharedServer(t), ordersSchema)
			w.remake(w.name+positionSuffix, c.partitions, c.configs)
			w.run(w.config("orders")).ends(errUnfitTopic, c.text)
		})
	}
}

// A position that an earlier version wrote does not say which topic it is of: that is no reason to read the table again.
func TestPositionWithoutATopicIsKept(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	name := tableName{"public", "orders"}
	load := func() *tablePosition {
		p := &position{tables: make(map[tableName]*tablePosition)}
		client := w.broker.Client(t)
		err := eachRecord(t.Context(), client, w.name+positionSuffix, func(r *kgo.Record) error { return p.load(w.name, r.Key, r.Value) })
		if err != nil || p.tables[name] == nil {
			t.Fatal(err, p.tables)
		}
		return p.tables[name]
	}
	old := *load()
	want := old.Topic
	if want == "" || old.Partitions != 4 {
		t.Fatalf("the position is %+v", old)
	}
	old.Topic, old.Partitions = "", 0
	rewritten := &kgo.Record{Topic: w.name + positionSuffix, Key: tableKey(w.name, name), Value: mustJSON(old)}
	if err := w.broker.Client(t).ProduceSync(context.Background(), rewritten).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.caughtUp(w.run(w.config("orders")))
	if n := len(w.records("public.orders")); n != 1 {
		t.Errorf("%d records: the table was read again", n)
	}
	if now := load(); now.Topic != want || now.Partitions != 4 {
		t.Errorf("the position is %+v, want topic %s of 4 partitions", now, want)
	}
}
