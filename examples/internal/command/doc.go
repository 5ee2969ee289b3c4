// Package command is what the examples share as programs: how they stop, their exit codes, and faults in the command line.
package command
