// Package golden holds the answers of Kafka Streams and the tests that compare ours with them. A case is a JSON file: a topology, input steps, and what the
// library gave, step by step. The tests interpret its topology over the public API, as any program could, and play it on several machines:
//
//   - the driver of package runtimetest, with each engine: straight on, with a crash after each step, and with a crash that loses the engine, after which
//     all stores come back from their changelogs;
//   - an application at a broker, with exactly-once, one partition for each topic and no write-back cache;
//   - an application in a process of its own that is killed between the steps or in the midst of them.
//
// The last two play a sample, the same in each run. What needs the wall clock is for the driver alone, where time moves when the case says so.
//
//	go test ./internal/golden                     the cases in testdata
//	go test ./internal/golden -golden DIR         the cases in DIR
//	go test ./internal/golden -v -run /NAME       one case
//	go test ./internal/golden -at-broker -1       all cases at a broker; else as many as it says
//	go test ./internal/golden -killing -1         all cases in processes that are killed
//
// A case whose topology needs an operator that does not exist is skipped and says which; how many are, and why, is printed with -v, or when a case fails.
package golden
