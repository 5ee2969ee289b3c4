// Package kafkatest holds what Millrace and Apache Kafka must do for each other, judged with other people's programs:
//
//   - the word count runs on Apache Kafka, unchanged, and so does change data capture;
//   - the test suites that franz-go, goka and sarama bring along pass against our log server;
//   - Kafka's command line tools administer it, Kafka's clients, of older versions too, and Kafka Streams run on it, and kcat writes, reads and lists, as do clients of Go,
//     Python and JavaScript;
//   - Kafka's DumpLogSegments reads the files that it writes, and it goes on with a partition that Apache Kafka wrote, as Apache Kafka does with one of ours.
//
// The script kafka beside the tests brings Apache Kafka from Maven; it needs Java 17 and Maven, kcat is a package of the same name, and the clients of Python and
// JavaScript are installed once into the user's cache. Every version is pinned. Since a machine with nothing but Go lacks these, the tests run when MILLRACE_PEERS=1 is
// set, and otherwise say what they left out; -short leaves out the long ones and lowers counts. There is no code here but tests.
//
// A suite's test that cannot pass is listed beside the suite with the reason, and leaves the list by passing.
package kafkatest
