// Package pgserver runs a private Postgres for tests and examples: on loopback, in a folder of its own, with logical replication switched on, as an
// unprivileged user when the program runs as root. It never touches a server that it did not start.
//
// The programs are found on the machine: in the PATH, or where distributions put them. Whoever brings them some other way names their folder.
package pgserver
