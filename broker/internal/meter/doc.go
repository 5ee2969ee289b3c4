// Package meter counts what a broker does, for those who watch it: requests by kind and error, how long they took, who waits.
//
// Counting never waits for a reader, takes no memory for what does not happen, and costs a few tens of nanoseconds: an atomic addition, or a mutex that
// only the same kind of event contends for. What is counted is read as a whole at any time; nothing is reset by reading.
//
// The package knows nobody's format: package broker turns the numbers into what a monitoring system reads. The clock comes in as an argument.
package meter
