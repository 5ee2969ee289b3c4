// Package archtest holds tests about the repository itself: who may import whom, what pure packages may do, what every package owes its reader, and that the commands
// and programs in the README work. It has no code of its own and nobody imports it.
//
// Each rule carries its reason, and a failing test prints it: whoever breaks a rule should learn why it is there, and can then argue against it.
package archtest
