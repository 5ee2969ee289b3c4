// Command benchmarks measures Millrace, beside code written by hand for the same work, in one run on one machine:
//
//	go run ./benchmarks [-run REGEXP] [-brokers HOST:PORT,…] [-short] [-rounds N] [-json FILE]
//
// Workloads:
//
//	produce    records of 100 bytes through franz-go's client, acks=all, keyless, 16 partitions
//	consume    the same records, read back from the start
//	wordcount  lines of 8 words, split, repartitioned, counted: exactly-once beside at-least-once, and the loop that one would write by hand
//	start      a broker process: exec to its first answer, and its memory when idle
//
// Without -brokers the log server runs in this process, on disk, and its CPU is part of the figures; with it any cluster that speaks Kafka's protocol is measured, and
// the figures hold the CPU of the clients only. Systems take turns within a round, so that whatever else the machine does falls on all of them; the table shows the
// median of the rounds with the least and the greatest, and ratios of systems are the median of the ratios within a round. On a busy machine the ratios count.
//
// RESULTS.md has figures with the machine and commit they were taken on.
package main
