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
// What is written: the group's members and assignments when it becomes Stable or Empty and when a static member changes
// its id, and every committed offset, in Kafka's own record formats, so that Kafka's tools read the topic. What is not
// written, who waits and until when, a new coordinator learns from the members themselves.
//
// Invariants (the names are those of the project's reliability notes): G1 a generation has one assignment, made by one
// leader for all of its members; G2 a commit of another generation, of a stranger or of a fenced instance changes nothing;
// G3 a committed offset changes only by a commit, a deletion or its expiry; G6 every member that waits is answered by
// the latest of its deadlines.
//
// Limits: members per group, bytes of metadata and assignments per group and in all, ids given out and not yet used; see Config.
package group
