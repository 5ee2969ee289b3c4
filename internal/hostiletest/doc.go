// Package hostiletest runs the log server as a process of its own among clients that mean it ill, with some at work beside them:
//
//	500 that connect, are greeted, and say nothing more       200 that send half a frame of 64 MiB     50 that send garbage, again and again
//	40 that ask for all there is and read none of it          10 that write and read
//
// Those at work must go on, and the server's memory must stay within what package broker documents (limits.go): for each connection its buffers and its goroutine, for
// each half frame what has come of it and no more than the first chunk besides, for each answer that nobody reads what the kernel does not take. The test prints the
// 99th percentile of the working clients without and with the others, the ratio and the processor time that the server took for a trip, several times; none of it is a
// condition, since it would measure the machine. MILLRACE_HOSTILE_IDLERS=5000 is what .ci/run asks for. There is no code here but tests.
package hostiletest
