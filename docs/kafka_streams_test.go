package docs

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// What the cookbook's entries share.
var (
	in       = stream.NewTopic("in", serde.String, serde.String)
	out      = stream.NewTopic("out", serde.String, serde.String)
	numbers  = stream.NewTopic("numbers", serde.String, serde.Int64)
	totals   = stream.NewTopic("totals", serde.String, serde.Int64)
	byLength = stream.NewTopic("by-length", serde.Int64, serde.String)
	minute   = time.Minute
)

// recipes are the cookbook's entries: each must build.
var recipes = map[string]func(b *stream.Builder){
	"from and to": func(b *stream.Builder) {
		lines := stream.From(b, in)
		stream.To(lines, out)
	},
	"filter": func(b *stream.Builder) {
		lines := stream.From(b, in)
		long := stream.Filter(lines, func(key, line string) bool { return len(line) > 80 })
		short := stream.FilterNot(lines, func(key, line string) bool { return len(line) > 80 })
		stream.To(stream.Merge(long, short), out)
	},
	"map": func(b *stream.Builder) {
		lines := stream.From(b, in)
		upper := stream.MapValues(lines, strings.ToUpper)
		swapped := stream.Map(lines, func(key, line string) (string, string) { return line, key })
		keyed := stream.SelectKey(lines, func(key, line string) int64 { return int64(len(line)) })
		words := stream.FlatMapValues(lines, strings.FieldsSeq)
		stream.To(stream.Merge(upper, swapped, words), out)
		stream.ForEach(keyed, func(int64, string) {})
	},
	"flat map": func(b *stream.Builder) {
		lines := stream.From(b, in)
		pairs := stream.FlatMap(lines, func(key, line string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for word := range strings.FieldsSeq(line) {
					if !yield(word, key) {
						return
					}
				}
			}
		})
		stream.To(pairs, out)
	},
	"split": func(b *stream.Builder) {
		lines := stream.From(b, in)
		kinds := stream.Split(lines)
		errors := kinds.Branch("errors", func(key, line string) bool { return strings.HasPrefix(line, "E") })
		rest := kinds.Default("rest")
		stream.To(errors, out)
		stream.ForEach(rest, func(key, line string) {})
	},
	"dynamic topic": func(b *stream.Builder) {
		lines := stream.From(b, in)
		stream.ToBy(lines, func(key, line string) stream.Topic[string, string] {
			return stream.NewTopic("out-"+key, serde.String, serde.String)
		})
	},
	"pattern": func(b *stream.Builder) {
		lines := stream.FromPattern(b, "logs-.*", in, stream.FromLatest())
		stream.To(lines, out)
	},
	"repartition": func(b *stream.Builder) {
		lines := stream.From(b, in)
		spread := stream.Repartition(lines, stream.NewTopic("spread", serde.String, serde.String).Partitions(12))
		stream.To(spread, out)
	},
	"count": func(b *stream.Builder) {
		counts := statestore.KeyValue("counts", serde.String, serde.Int64)
		byWord := stream.NewTopic("by-word", serde.String, serde.String)

		words := stream.FlatMapValues(stream.From(b, in), strings.FieldsSeq)
		grouped := stream.GroupBy(words, func(_, word string) string { return word }, byWord)
		stream.To(ktable.ToStream(ktable.Count(grouped, counts)), totals)
	},
	"reduce and aggregate": func(b *stream.Builder) {
		sums := statestore.KeyValue("sums", serde.String, serde.Int64)
		texts := statestore.KeyValue("texts", serde.String, serde.String)

		grouped := stream.GroupByKey(stream.From(b, numbers))
		sum := ktable.Reduce(grouped, func(sofar, n int64) int64 { return sofar + n }, sums)
		text := ktable.Aggregate(grouped, func() string { return "" },
			func(key string, n int64, sofar string) string { return fmt.Sprint(sofar, " ", n) }, texts)
		stream.To(ktable.ToStream(sum), totals)
		stream.To(ktable.ToStream(text), out)
	},
	"windows": func(b *stream.Builder) {
		store := statestore.Window("counts-by-minute", serde.String, serde.Int64)

		grouped := stream.GroupByKey(stream.From(b, in))
		windows := stream.WindowBy(grouped, stream.Tumbling(time.Minute).Grace(10*time.Second)) // or Hopping(size, advance), Sliding(difference)
		counts := ktable.CountWindows(windows, store)
		stream.ForEach(ktable.ToStream(counts), func(w stream.Windowed[string], n int64) {})
	},
	"sessions": func(b *stream.Builder) {
		store := statestore.Session("visits", serde.String, serde.Int64)

		grouped := stream.GroupByKey(stream.From(b, in))
		counts := ktable.CountSessions(stream.SessionBy(grouped, stream.Sessions(30*time.Minute)), store)
		stream.ForEach(ktable.ToStream(counts), func(w stream.Windowed[string], n int64) {})
	},
	"suppress": func(b *stream.Builder) {
		store := statestore.Window("per-minute", serde.String, serde.Int64)
		held := statestore.Buffer("held", serde.TimeWindowed(serde.String, minute), serde.Int64)

		counts := ktable.CountWindows(stream.WindowBy(stream.GroupByKey(stream.From(b, in)), stream.Tumbling(minute)), store)
		final := ktable.SuppressUntilClose(counts, held, ktable.BufferLimit{})
		stream.ForEach(ktable.ToStream(final), func(w stream.Windowed[string], n int64) {})
	},
	"emit on close": func(b *stream.Builder) {
		store := statestore.Window("per-minute", serde.String, serde.Int64)

		windows := stream.WindowBy(stream.GroupByKey(stream.From(b, in)), stream.Tumbling(minute)).EmitOnClose()
		stream.ForEach(ktable.ToStream(ktable.CountWindows(windows, store)), func(w stream.Windowed[string], n int64) {})
	},
	"cogroup": func(b *stream.Builder) {
		store := statestore.KeyValue("both", serde.String, serde.Int64)

		texts := stream.GroupByKey(stream.From(b, in))
		amounts := stream.GroupByKey(stream.From(b, numbers))
		both := ktable.Cogroup(func() int64 { return 0 }, store,
			ktable.Add(texts, func(key, text string, sofar int64) int64 { return sofar + 1 }),
			ktable.Add(amounts, func(key string, n, sofar int64) int64 { return sofar + n }))
		stream.To(ktable.ToStream(both), totals)
	},
	"stream-stream join": func(b *stream.Builder) {
		state := stream.NewJoinState("texts-with-numbers", serde.String, serde.String, serde.Int64)

		joined := stream.Join(stream.From(b, in), stream.From(b, numbers),
			func(text string, n int64) string { return fmt.Sprint(text, n) },
			stream.Within(5*time.Minute).Grace(time.Minute), state)
		stream.To(joined, out)
	},
	"stream-table join": func(b *stream.Builder) {
		rows := statestore.KeyValue("rows", serde.String, serde.Int64)

		table := ktable.From(b, numbers, rows)
		joined := ktable.LeftJoinStream(stream.From(b, in), table, func(text string, n int64, found bool) string { return fmt.Sprint(text, n, found) })
		stream.To(joined, out)
	},
	"global table": func(b *stream.Builder) {
		rows := statestore.KeyValue("rates", serde.String, serde.Int64)

		rates := ktable.FromGlobal(b, numbers, rows)
		joined := ktable.JoinGlobal(stream.From(b, in), rates, func(key, text string) string { return text }, func(text string, rate int64) string { return fmt.Sprint(text, rate) })
		stream.To(joined, out)
	},
	"tables": func(b *stream.Builder) {
		left := statestore.KeyValue("left", serde.String, serde.String)
		right := statestore.KeyValue("right", serde.String, serde.Int64)

		texts := ktable.From(b, in, left)
		large := ktable.Filter(ktable.From(b, numbers, right), func(key string, n int64) bool { return n > 10 })
		joined := ktable.OuterJoin(texts, large, func(text string, n int64, has stream.Sides) string { return fmt.Sprint(text, n, has) })
		stream.To(ktable.ToStream(joined), out)
	},
	"foreign key": func(b *stream.Builder) {
		texts := statestore.KeyValue("texts", serde.String, serde.String)
		sizes := statestore.KeyValue("sizes", serde.Int64, serde.String)
		link := ktable.NewForeignKey("text-size", serde.String, serde.String, serde.Int64, serde.String)

		joined := ktable.JoinForeign(ktable.From(b, in, texts), ktable.From(b, byLength, sizes),
			func(text string) (int64, bool) { return int64(len(text)), true },
			func(text, size string) string { return text + " is " + size }, link)
		stream.To(ktable.ToStream(joined), out)
	},
	"group rows": func(b *stream.Builder) {
		texts := statestore.KeyValue("texts", serde.String, serde.String)
		sums := statestore.KeyValue("sums", serde.Int64, serde.Int64)
		via := stream.NewTopic("texts-by-length", serde.Int64, serde.String)

		grouped := ktable.GroupBy(ktable.From(b, in, texts), func(key, text string) (int64, string) { return int64(len(text)), text }, via)
		counts := ktable.AggregateRows(grouped, func() int64 { return 0 },
			func(_ int64, text string, sofar int64) int64 { return sofar + 1 },
			func(_ int64, text string, sofar int64) int64 { return sofar - 1 }, sums)
		stream.ForEach(ktable.ToStream(counts), func(length, n int64) {})
	},
	"versioned": func(b *stream.Builder) {
		prices := statestore.Versioned("prices", serde.String, serde.Int64, 24*time.Hour)
		waiting := statestore.GraceBuffer("waiting", serde.String, serde.String)

		table := ktable.FromVersioned(b, numbers, prices)
		joined := ktable.JoinStreamLate(stream.From(b, in), table, func(text string, price int64) string { return fmt.Sprint(text, price) },
			ktable.WaitIn(waiting, time.Minute))
		stream.To(joined, out)
	},
	"processor": func(b *stream.Builder) {
		counts := statestore.KeyValue("counts", serde.String, serde.Int64)

		every10th := stream.Process(stream.From(b, in), func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
			store := stream.Store(p, counts)
			return func(r *stream.Record[string, string]) error {
				n, _, err := store.Get(r.Key)
				if err != nil {
					return err
				}
				if err := store.Put(r.Key, n+1, r.Timestamp); err != nil || n%10 != 9 {
					return err
				}
				return p.Forward(*r)
			}
		}, counts)
		stream.To(every10th, out)
	},
	"to table": func(b *stream.Builder) {
		latest := statestore.KeyValue("latest", serde.String, serde.Int64)

		table := ktable.ToTable(stream.From(b, numbers), latest)
		doubled := ktable.MapValues(table, func(n int64) int64 { return 2 * n }) // with a store as a third argument it is kept
		stream.To(ktable.ToStream(doubled), totals)
	},
	"sliding": func(b *stream.Builder) {
		highest := statestore.Window("highest", serde.String, serde.Int64)

		grouped := stream.GroupByKey(stream.From(b, numbers))
		windows := stream.WindowBy(grouped, stream.Sliding(time.Minute).Grace(10*time.Second))
		peaks := ktable.ReduceWindows(windows, func(sofar, n int64) int64 { return max(sofar, n) }, highest)
		stream.ForEach(ktable.ToStream(peaks), func(w stream.Windowed[string], n int64) {})
	},
	"outer join": func(b *stream.Builder) {
		state := stream.NewJoinState("either", serde.String, serde.String, serde.Int64)

		joined := stream.OuterJoin(stream.From(b, in), stream.From(b, numbers),
			func(text string, n int64, has stream.Sides) string { return fmt.Sprint(text, n, has) },
			stream.Within(5*time.Minute).After(0), state)
		stream.To(joined, out)
	},
	"punctuator": func(b *stream.Builder) {
		sums := statestore.KeyValue("sums", serde.String, serde.Int64)

		minutely := stream.Process(stream.From(b, numbers), func(p *stream.Processor[string, int64]) func(*stream.Record[string, int64]) error {
			store := stream.Store(p, sums)
			p.Every(stream.WallClock, time.Minute, func(now int64) error {
				for e, err := range store.All() {
					if err != nil {
						return err
					}
					if err := p.Forward(stream.Record[string, int64]{Key: e.Key, Value: e.Value, Timestamp: now}); err != nil {
						return err
					}
				}
				return nil
			})
			return func(r *stream.Record[string, int64]) error {
				sum, _, err := store.Get(r.Key)
				if err != nil {
					return err
				}
				return store.Put(r.Key, sum+r.Value, r.Timestamp)
			}
		}, sums)
		stream.To(minutely, totals)
	},
}

func TestRecipesBuild(t *testing.T) {
	for name, recipe := range recipes {
		b := stream.NewBuilder()
		recipe(b)
		topology, err := b.Build()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if topology.String() == "" {
			t.Errorf("%s: the topology has no description", name)
		}
	}
}
