// Package golden holds the answers of Kafka Streams and the tests that compare ours with them. A case is a JSON file: a topology, input steps, and what the
// library gave, step by step. The tests interpret its topology over the public API, as any program could, and run it in package runtimetest.
//
//	go test ./internal/golden                     the cases in testdata
//	go test ./internal/golden -golden DIR         the cases in DIR
//	go test ./internal/golden -v -run /NAME       one case
//
// A case whose topology needs an operator that does not exist is skipped and says which; how many are, and why, is printed with -v, or when a case fails.
package golden
