// Package overlay is what a store keeps in memory over its engine: the changes of the transaction that is open, and a cache of entries that equal the engine's.
//
// A [Table] is an open-addressing hash table of integers over an arena of bytes. It holds no pointer per entry, so a garbage collection does not see the entries:
// a million of them cost it as much as one. Staged entries (those changed since the last Commit) are never evicted; clean ones are, by a clock, when
// they outgrow their bound.
//
//	           ┌───────────────┐   ┌───────────────────────────────────┐   ┌─────────────────────────┐
//	hash ────▶ │ hash32│entry+1│──▶│ key ref │ value ref │ lengths │flags│──▶│ key bytes │ value bytes │ …  arena, in chunks
//	           └───────────────┘   └───────────────────────────────────┘   └─────────────────────────┘
//	              slots                            entries                     ▲
//	                                                  ▲                        │
//	                 pending list: order of last change, old values ───────────┤
//	                 skip list over staged entries, built by the first scan ───┘
//
// Entries whose keys differ at their ends only, the windows of one key, are found as a group, without the ordered list. Rows soon outgrow the processor's caches, so that waiting
// for memory is most of what they cost: who knows which keys are asked for next tells it ([Table.Warm]), and the table looks ahead where it goes through entries itself.
//
// The bounds count keys, values and 44 bytes for each entry. Not counted are 32 bytes more for each where changes are held back, and 43 for each group.
//
// What a value is, the table does not know: bytes that its caller formats. A Table belongs to one goroutine.
package overlay
