// Package losstest takes the log server away from its clients, by SIGKILL or by power loss, again and again, and checks what the clients were promised. The server is
// the real program, the clients are franz-go's:
//
//	plain producers ──────▶ topic plain ─┐
//	idempotent producers ─▶ topic idem ──┼─▶ a group of consumers, read_committed
//	                          │ copiers: transactions of records and offsets; some are aborted, some left open by a client that is replaced
//	                          └─▶ topics copy-a and copy-b
//
// Each partition has one writer, and each value says which number it has in that writer's order, so that the log alone shows what is lost, invented, repeated or out of
// order. The ledger keeps what was acknowledged and what was seen; after each restart the audit reads the logs and holds them against it:
//
//	L1  what was acknowledged is there, at its offset, with its bytes     T1  a transaction's records and offsets are visible together or not at all
//	L2  the log is a prefix of what was appended                          T2  what was aborted is never visible
//	L3  what was seen at an offset stays there                            T3  the last stable offset is no higher than the high watermark
//	L4  only a torn tail is cut                                           T4  who was replaced commits nothing
//	G3  a committed offset stays, and never lies behind the log's end     T6  what was answered as committed stays so
//	G4  a consumer goes on where its group stopped, and skips nothing     T7  no gap and no repetition from an idempotent producer
//	                                                                      T9  read_committed is read_uncommitted without what was aborted
//
// A kill must leave all of this true in every flush mode, a power loss with flush=always. With flush=interval and flush=os a power loss may take the tail of any log, each
// by itself: there the test asks for L2 to L4, and that the server starts and works. What lies in one log and speaks of another may not fit any more: a transaction whose
// coordinator has forgotten it stays open until the server aborts it, after the longest time-out that a transaction may have, and a group's offset may lie behind its
// log's end.
//
// MILLRACE_KILL_ROUNDS says how many kills there are in each flush mode (2 unless set). MILLRACE_POWER_ROUNDS says how many power losses there are with flush=always, and
// a fifth of that with each other mode; unless set there are none, since they need to mount a file system, and with it root. MILLRACE_LOSS_SEED repeats a run's choices.
// There is no code here but tests.
package losstest
