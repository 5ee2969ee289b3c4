// Package runtimetest runs a topology without a log server: records are piped in, results are read out, stores are looked into, and time moves when the test
// says so.
//
//	d, err := runtimetest.New(topology, runtimetest.Config{})
//	defer d.Close()
//	err = runtimetest.Pipe(d, lines, "", "to be or not to be", 0)
//	for _, r := range runtimetest.Output(d, counts) { … }
//	n, found, err := runtimetest.KeyValue(d, countStore).Get("be")
//
// In a test, [Start] takes the builder, fails the test when something is wrong, and closes the driver at its end.
//
// Tasks, stores, changelogs and repartition topics are those of an application; only what lies below the client is replaced, by slices in memory. Everything
// happens inside the calls, in an order that depends on nothing but the input: of all records that wait, the one with the lowest time is next, and
// of several the one whose partition has waited longest.
//
// By default a task commits after each record, so that every change is seen. With [Config.CommitEvery] commits happen when the clock moves on, and results, the
// records of repartition topics among them, are seen at commits only, as by a reader of committed records. [Config.WriteBack] turns the write-back
// caches on: rows go on once per commit then.
//
// [Config.Partitions] gives topics partitions, and [Config.Shuffle] lets those arrive in an order that a seed draws, as they do in production.
//
// [Driver.Restart] is a crash: what was not committed is lost, and stores come back from their engine or from their changelog.
//
// A Driver belongs to one goroutine.
package runtimetest
