// Package assign spreads the partitions of topics over the members of a consumer group: the assignors that a coordinator
// has for the protocol of KIP-848, by the names and rules of Apache Kafka's.
//
//	uniform   every member gets as many partitions as any other, give or take one, and keeps what it had
//	range     every topic is cut into one stretch per member, the same stretch of every topic for the same member
//
// The functions are pure and their result depends on their arguments only: members are taken in the order given, topics in
// the order of their ids. Nothing is retained, and the targets that they return belong to the caller.
//
// What always holds: no partition is given to two members, none to a member that is not subscribed to its topic, and every
// partition of a topic with a subscriber is given to somebody.
package assign
