// Package group is the group coordinator of one partition of __consumer_offsets: members, generations, assignments and
// committed offsets.
//
// It is pure: no I/O, no clock, no goroutine, no randomness of its own. A step takes the time and a request and returns
// the records to append and the answers that become valid once they are appended; both have been applied to the state
// already, by the same Apply that a replay of the log calls. Whoever runs it (broker/internal/coordinator/groups) hands
// the answers out after the append, or forgets the whole Machine and replays the log if the append fails.
//
// A request that is answered later, a JoinGroup that waits for others or a SyncGroup that waits for the leader, is known
// by the Token that came with it; some later step, or a Tick, returns the Answer for it. Every token is answered exactly
// once, unless the Machine is forgotten.
//
// The classic protocol's states:
//
//	           join                         all joined, or time is up
//	Empty ───────────────▶ PreparingRebalance ─────────────────────────▶ CompletingRebalance
//	  ▲                      ▲      ▲   │                                  │          │
//	  │   nobody is left     │      │   └───────── nobody is left ─┐       │          │ leader's SyncGroup
//	  └──────────────────────┼──────┼──────────────────────────────┘       │          ▼
//	                         │      └── join, leave, expiry ───────────────┘        Stable
//	                         └───────── join, leave, expiry ──────────────────────────┘
//
// A group that is gone is in no table; its state reads Dead.
//
// A group may speak the protocol of KIP-848 instead: then the Machine itself assigns the partitions (package assign), and every member
// moves from what it has to what it shall have on its own, in its heartbeats. Which states there are is told beside consumerGroup and
// at reconcile. Members of the classic protocol may be in such a group; that is how a group changes from one protocol to the other while
// it works:
//
//	            a consumer joins                              a classic member joins
//	classic ────────────────────────▶ consumer, with members ◀──────────────────────── consumer
//	   ▲                                of both protocols
//	   │                                       │ the last consumer leaves
//	   └───────────────────────────────────────┘
//
// What is written by a classic group: the group's members and assignments when it becomes Stable or Empty and when a static member changes
// its id. A consumer group writes every change: what a member says about itself, its target, what it has and has to give up, and the
// epochs. Committed offsets are the same for both, and stay when the protocol changes. All of it is in Kafka's own record formats, so
// that Kafka's tools read the topic. What is not written, who waits and until when, a new coordinator learns from the members themselves.
//
// Invariants (the names are those of the project's reliability notes): G1 a generation has one assignment, made by one
// leader for all of its members, and in a consumer group no partition is ever in the hands of two members; G2 a commit of
// another generation, of a stranger or of a fenced instance changes nothing; G3 a committed offset changes only by a commit, a
// deletion or its expiry; G6 every member that waits is answered by the latest of its deadlines.
//
// Limits: members per group, patterns of a group and their length, partitions of a target, bytes of metadata and assignments per
// group and in all, ids given out and not yet used; see Config.
package group
