// Command benchmarks measures Millrace, beside code written by hand for the same work, in one run on one machine:
//
//	go run ./benchmarks [-run REGEXP] [-brokers HOST:PORT,…] [-kafka auto|on|off] [-short] [-rounds N] [-json FILE] [-profile DIR]
//
// Workloads:
//
//	produce    records of 100 bytes through franz-go's client, acks=all, keyless, 16 partitions
//	consume    the same records, read back from the start
//	wordcount  lines of 8 words, split, repartitioned, counted: exactly-once beside at-least-once, and the loop that one would write by hand
//	chain      five operators without state on numbers of 8 bytes, beside the source alone: the difference is what the operators cost
//	driver-*   operators with state without a log (package runtimetest), stores in memory and on disk, commits included; driver-source has the driver's own share
//	app-*      the same as applications, exactly-once, stores on disk, from the first record to the last commit, beside their budgets of processor time and what
//	           Kafka Streams is known to take for the same bytes; counting also beside the loop that one would write by hand
//	start      a broker process: exec to its first answer, and its memory when idle
//
// The operators with state are
//
//	count            1 M records, 100,000 keys
//	tumbling         500,000 records, 100,000 keys, 5 % of them late; windows of 10 s
//	hopping          the same, windows of 60 s every 10 s: each record counts in six
//	session          the same, sessions that end after 30 s
//	stream-join      two streams of 300,000 records, 100,000 keys, at most 10 s apart
//	stream-join-1m   the same with a million keys, as Kafka Streams was measured
//	table-join       600,000 records, each with the row of its key in a table of 100,000
//	table-join-300k  the same with a table of 300,000, as Kafka Streams was measured
//
// with keys of 16 and values of 100 bytes that streams_input.go describes. With -profile DIR each leaves a CPU profile there.
//
// And those of the log server in a process of its own, with Apache Kafka beside it in the same run where there are Java and Maven and the run is not
// -short (-kafka says otherwise):
//
//	broker-raw      ready-made batches of 1, 16 and 100 KiB over one connection, 5 in flight, acks=all, one partition
//	broker-produce  records of 1 KiB and 100 B through franz-go's client, acks=all, 16 and 100 partitions
//	broker-fetch    the same records, read back from the start
//	broker-txn      transactions of 10 records, one after another, from 1 producer and from 16; with flush=always beside
//	broker-latency  1,000 and 10,000 records a second, from the time each was due until a consumer has it
//	broker-start    exec to the first answer: new, after kill -9 with a gigabyte, after a clean stop with 1,000 partitions
//	broker-memory   resident memory at rest of each of these
//
// Their CPU is the broker's, without the client's. Both systems run as long as the run and have written 2 GiB before anything is measured.
//
// Without -brokers the log server runs in this process, on disk, and its CPU is part of the figures; with it any cluster that speaks Kafka's protocol is measured, and
// the figures hold the CPU of the clients only. Systems take turns within a round, so that whatever else the machine does falls on all of them, and log servers begin
// it by turns; the table shows the median of the rounds with the least and the greatest, and ratios of systems are the median of the ratios within a round. On a busy
// machine the ratios count.
//
// RESULTS.md has figures with the machine and commit they were taken on.
package main
