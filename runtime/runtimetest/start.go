package runtimetest

import (
	"testing"

	"github.com/millrace-io/millrace/stream"
)

// Start is [New] for a test: it builds what the builder holds and closes the driver when the test ends. Whatever goes wrong at either end fails the test.
func Start(t testing.TB, b *stream.Builder, config Config) *Driver {
	t.Helper()
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(topology, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
