// Package markers writes the ends of transactions into the logs of their partitions, on behalf of the transaction
// coordinator, which owes them.
package markers
