// Package stream is the typed language of record streams: topics are read with [From], records pass through operators such as [Filter], [Map] and
// [FlatMapValues], and leave with [To]. Streams are joined with each other by key and time with
// [Join] and its kin. Package ktable continues where a stream becomes a table: aggregations, joins with tables, windows.
//
//	lines := stream.NewTopic("lines", serde.String, serde.String)
//	loud := stream.NewTopic("loud", serde.String, serde.String)
//
//	b := stream.NewBuilder()
//	text := stream.From(b, lines)
//	stream.To(stream.MapValues(text, strings.ToUpper), loud)
//	topology, err := b.Build()
//
// Operators are functions over streams, with keys and values as types: the compiler finds the topic of the wrong type and the swapped argument. An operator
// of your own is a function like them.
//
// # Faults
//
// No operator returns an error. A mistake (a repartition topic without a name, two readers of one topic that disagree, a serde that is missing) sticks to the
// Builder with the line of your program, and [Builder.Build] returns all of them in one error.
//
// # Functions that fail
//
// Every operator takes a plain function; its form with Ctx takes one that gets a context, the key and the value, and may fail:
//
//	MapValues(s, func(v V) W)
//	MapValuesCtx(s, func(ctx context.Context, key K, v V) (W, error))
//
// The context ends when the task does, and tells about the record in process ([MetaOf]). An error, and a panic in any function, names the operator, your line and
// the record; what happens then is the choice of the handlers of [Faults], by default the application stops.
//
// # Processors
//
// What no operator does, a function of yours can do: [Process] hands it each record, and it keeps state in typed stores, acts by stream time or by the wall clock, asks for
// commits, and forwards what it likes to whom it likes. [ProcessValues] is the same for a function that leaves keys alone. Builder.Wrap puts a hook around every
// operator.
//
// # Null
//
// Keys and values of Kafka records can be null. A type that has a null of its own (a pointer, slice, map or interface, or a type with a method IsNull() bool whose
// zero value is null) sees null as that. For all other types:
//
//   - functions see the zero value of a null key or value;
//   - a null value stays null through [Map] and [MapValues], and MapValues does not call its function for it;
//   - [FlatMap] and [FlatMapValues] give nothing for a null value;
//   - a key that a function returned is not null.
//
// [Nullable] turns values into pointers for functions that must tell null from zero.
//
// # Durable names
//
// Whatever outlives the process has a name that you typed: topics, stores and repartition topics. An operator that is added or removed elsewhere never
// renames them. Operators themselves are numbered for descriptions only.
//
// A Builder and its streams belong to one goroutine. The topology that Build returns is immutable. Functions given to operators are called by several tasks at
// once and must not share unguarded state.
package stream
