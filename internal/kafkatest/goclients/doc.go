// Package goclients tries Go clients other than franz-go on a log server: what each of them writes, reads, commits and administers in its own way. The server is
// somewhere else: MILLRACE_SEEDS says where. The tests beside this directory start one and run these.
package goclients
