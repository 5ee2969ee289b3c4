package pgserver

import "testing"

func TestVersionIsTheMajorOne(t *testing.T) {
	for path, want := range map[string]int{
		"/usr/lib/postgresql/15/bin/postgres": 15, "/usr/lib/postgresql/9.6/bin/postgres": 9, "/usr/pgsql-17/bin/postgres": 17,
		"/opt/homebrew/opt/postgresql@16/bin/postgres": 16, "/opt/homebrew/opt/postgresql/bin/postgres": 0,
	} {
		if got := version(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}
