// Package markers writes the ends of transactions into the logs of their partitions, on behalf of the transaction
// coordinator, which owes them, and aborts what is open in a log without a coordinator that knows it: see [Hanging].
package markers
