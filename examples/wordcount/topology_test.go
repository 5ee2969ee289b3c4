package main

import (
	"testing"

	"github.com/millrace-io/millrace/runtime/runtimetest"
)

// A topology can be tried without a log: records in, records out.
func TestTopologyCountsWords(t *testing.T) {
	built, err := topology()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(built, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i, line := range []string{"The quick fox,", "the_lazy dog", "", "THE end"} {
		if err := runtimetest.Pipe(d, lines, nil, line, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]int64{}
	for _, r := range runtimetest.Output(d, wordCounts) {
		if r.Value != last[r.Key]+1 {
			t.Errorf("the count of %q goes from %d to %d", r.Key, last[r.Key], r.Value)
		}
		last[r.Key] = r.Value
	}
	want := map[string]int64{"the": 3, "quick": 1, "fox": 1, "lazy": 1, "dog": 1, "end": 1}
	if wrong := difference(last, want); len(wrong) > 0 {
		t.Errorf("counted %v, want %v", last, want)
	}
	if n, found, err := runtimetest.KeyValue(d, countStore).Get("the"); err != nil || !found || n != 3 {
		t.Errorf("the store holds %d, %v, %v for \"the\", want 3", n, found, err)
	}
}
