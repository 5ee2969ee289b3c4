// Command millrace is the log server and the tool that looks after one:
//
//	millrace dev                          a log server to try things with, in memory
//	millrace broker --data DIR            a log server that keeps its data
//	millrace topic create|list|describe|delete|produce|consume
//	millrace group list|describe|delete
//	millrace cdc postgres …               changes of a database into topics
//	millrace version
//
// The topic and group commands speak Kafka's protocol and work on any cluster that does. Results go to standard output, as tables for people or, with -o json, as JSON;
// what is said about the work goes to standard error. Shells complete names of topics and groups (millrace completion). The exit code is 0 for done, 1 for failed, 2 for
// a command line that cannot be understood.
package main
