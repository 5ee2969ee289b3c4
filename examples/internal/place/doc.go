// Package place is where an example happens: a log inside this process or a cluster, a directory for state, and the few questions that every example asks of
// a log: are the topics there, is all processed, what does a topic hold.
package place
