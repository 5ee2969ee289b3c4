// Package brokertest runs a broker inside a test: in memory, over an in-memory network, with the means to restart it, to kill it, and to take its power
// away.
//
//	b := brokertest.Start(t, broker.Config{})
//	client := b.Client(t, kgo.ConsumeTopics("in"))
//
// Everything ends with the test. Nothing but the test's process is touched, unless the Config names a directory.
package brokertest
