package docs

import (
	"fmt"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
)

// check ends an example at a failure.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// drive starts a driver over what the builder holds.
func drive(b *stream.Builder) *runtimetest.Driver {
	topology, err := b.Build()
	check(err)
	d, err := runtimetest.New(topology, runtimetest.Config{})
	check(err)
	return d
}

// show prints what came out of a topic since the last time.
func show[K, V any](d *runtimetest.Driver, topic stream.Topic[K, V]) {
	for _, r := range runtimetest.Output(d, topic) {
		if r.ValueNull {
			fmt.Println(r.Key, "-")
		} else {
			fmt.Println(r.Key, r.Value)
		}
	}
}
