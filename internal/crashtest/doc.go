// Package crashtest kills real processes at random moments and checks that nothing was lost and nothing counted twice. It runs the word count example as a user would
// and judges it from outside: by what its output topic holds, read with read_committed, against a count of its own.
//
//   - one process with log and state in one directory, killed and started again until it ends;
//   - the log server apart, killed and started again on its directory while the word count goes on;
//   - two to four instances that come and go, by SIGKILL and by SIGTERM.
//
// After every run each word's last count must equal the direct count, and no count may ever go back. MILLRACE_CRASH_ROUNDS says how many kills each test deals out
// (2 unless set), MILLRACE_CRASH_SEED repeats a run's choices; every test prints the seed it used. There is no code here but tests.
package crashtest
