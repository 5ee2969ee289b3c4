// Package runtime runs a topology: it makes the internal topics, joins a group with the other instances of the application, runs the tasks that fall to this
// instance, keeps their state and commits.
//
//	app, err := runtime.New(topology, runtime.Config{AppID: "orders", Brokers: []string{"127.0.0.1:9092"}, StateDir: "/var/lib/orders"})
//	…
//	err = app.Run(ctx) // until ctx ends or something fails for good
//
// It speaks Kafka's wire protocol and needs nothing beside a cluster: Millrace's own broker, Apache Kafka or Redpanda.
//
// # Promises
//
//   - With [ExactlyOnce], every input record counts once in state, in output topics and in committed offsets, whatever crashes when: outputs, changelogs and offsets
//     are one transaction, and a store takes its changes, with the changelog offset they end at, in one atomic batch after that transaction has committed.
//   - With [AtLeastOnce], every input record counts at least once; after a crash what was processed since the last commit is processed again.
//   - State is never thrown away after a crash: a restart reads the tail of the changelog that the store lacks.
//   - A task runs in one place at a time. What a former owner left open is aborted before its successor reads where to begin.
//   - Heartbeats do not wait for the program's functions, and tasks that stay are not disturbed by a rebalance.
//   - A record that cannot be decoded, processed or written ends Run with an error that names it, the operator and the line that added that, unless [Config.Faults]
//     says otherwise: a record that is skipped or put aside counts as processed, once, with its dead letter in the same transaction.
//   - Run returns nil after a clean end and an error that says what to do otherwise. Nothing is retried for ever: see [Config.TaskTimeout].
//
// Whoever watches an instance has [App.Progress]; who asks for its state has [Query], which sees what this instance has.
//
// What it does not promise: functions with effects outside (a call of another service) may run again for a record whose transaction was aborted. And
// records of one key keep their order from input to store; records of different partitions meet by timestamp, as far as both have arrived.
//
// # How it works
//
//	App ── worker ── group member, one producer with one transaction, one fetcher
//	  │      └──── tasks: a partition of a sub-topology each, with its stores
//	  ├─ copies of the global tables, complete before the workers start, kept by a goroutine of their own
//	  └─ engine: one database for all stores of the instance
//
// A worker is one goroutine that takes records, runs operators and commits. A commit is: flush what write-back caches held back, append the changelogs, flush the producer,
// put the offsets into the transaction, end it, apply the staged state. A transaction that cannot be committed is aborted, and the worker's tasks begin again at
// what is committed; so they do when the outcome is unknown, after asking the coordinator to settle it.
//
// The garbage collector's settings are the program's: a program that is mainly a topology gains from a higher GOGC (400, say) with a memory limit.
package runtime
