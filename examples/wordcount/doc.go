// Command wordcount counts the words of real text, exactly once, with a log server, a topology and its state all in this one process:
//
//	go run ./examples/wordcount                           Go's own source
//	go run ./examples/wordcount FILE DIR …                these files, and the files below these directories
//	cat TEXT | go run ./examples/wordcount -              standard input
//	go run ./examples/wordcount --data DIR                keep log and state: after a crash the same command goes on where it was
//	go run ./examples/wordcount --brokers HOST:PORT,…     the same topology on a cluster that runs already: Millrace's or Apache Kafka's
//
// main.go is the part to read: the topology, and what is done with it. The other files load the text (loader.go: no line twice, whatever happens), run the application
// (job.go), wait for the end (drain.go), read the result and compare it with a direct count (read.go, tally.go), and draw the progress bar (bar.go).
package main
