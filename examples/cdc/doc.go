// Command cdc keeps an answer about a Postgres database up to date while the database changes: what each customer ordered for, day by day.
//
// It starts a private Postgres and a log, brings the changes of three tables into the log (connect/postgres), joins items with their orders and customers by
// foreign keys, sums them up, and changes the tables all the while: inserts, updates of everything including keys, deletes. Then it stops, waits until the
// stream has caught up, asks the same question in SQL, and prints both answers.
//
//	go run ./examples/cdc
//	go run ./examples/cdc --kill 5             # connector and application die five times each on the way
//	go run ./examples/cdc --postgres URL       # a database of yours: the example makes a schema millrace_cdc in it, and drops it at the end
package main
