// Package assign decides which member of a group runs which task, and says it in bytes that travel through the group protocol.
//
// It is pure: a leader calls [Assign] with what the members claim and sends out the grants that it returns. Two leaders with the same claims grant the same.
//
// # Promises
//
//   - Every task is granted to one member at most, and to none while another member still claims it: a task that moves is first withheld from its
//     owner, which gives it up and joins again, and then granted to its new owner (two phases; members whose tasks stay are not disturbed).
//   - Balance: within every sub-topology, and in all, the members' numbers of tasks differ by one at most once nothing is withheld.
//   - Stickiness: a member keeps what it has up to its share. A task without an owner goes to the process that had it last, if that has room, since its state may still be
//     there on disk. Assigning again without a change changes nothing.
//   - Whoever is granted a task learns which transactional ids of former owners are no longer in the group, to fence them before it reads an offset.
//   - Members that run another topology are refused with a sentence. The topology that owns most tasks counts.
package assign
