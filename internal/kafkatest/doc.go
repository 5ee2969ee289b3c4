// Package kafkatest holds what Millrace and Apache Kafka must do for each other, judged with Kafka's own programs and with kcat:
//
//   - the word count runs on Apache Kafka, unchanged;
//   - Kafka's console consumer, topics and consumer-groups tools read our log server;
//   - kcat lists, writes and reads on it.
//
// The script kafka beside the tests brings Apache Kafka from Maven; it needs Java 17 and Maven, and kcat is a package of the same name. Since a machine with nothing but
// Go lacks these, the tests run when MILLRACE_PEERS=1 is set, and otherwise say what they left out. There is no code here but tests.
package kafkatest
