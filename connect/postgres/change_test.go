package postgres

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// A table's topic is a table of rows: what is deleted goes, and a row that is known by half is refused.
func TestTopicIsATableOfRows(t *testing.T) {
	type key struct {
		ID int64 `json:"id"`
	}
	type document struct {
		Title string `json:"title"`
	}
	topic := NewTopic[key, document]("shop.public.documents")
	out := stream.NewTopic("rows", serde.JSON[key](), serde.JSON[document]())
	b := stream.NewBuilder()
	rows := Table(b, topic, statestore.KeyValue("documents", serde.JSON[key](), serde.JSON[document]()))
	stream.To(ktable.ToStream(rows), out)
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(built, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pipe := func(c Change[document]) error {
		t.Helper()
		return runtimetest.Pipe(d, topic, key{1}, c, 0)
	}
	for _, c := range []Change[document]{
		{Op: Read, After: &document{"first"}},
		{Op: Update, Before: &document{"first"}, After: &document{"second"}},
		{Op: Delete, Before: &document{}},
	} {
		if err := pipe(c); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range runtimetest.Output(d, out) {
		if r.ValueNull {
			got = append(got, "gone")
		} else {
			got = append(got, r.Value.Title)
		}
	}
	if want := "first second gone"; strings.Join(got, " ") != want {
		t.Errorf("the table went through %q, want %q", got, want)
	}
	err = pipe(Change[document]{Op: Update, After: &document{}, Unchanged: []string{"title"}, Source: Origin{Schema: "public", Table: "documents"}})
	if err == nil || !strings.Contains(err.Error(), "column title") || !strings.Contains(err.Error(), "ALTER TABLE public.documents REPLICA IDENTITY FULL") {
		t.Errorf("half a row: %v", err)
	}
}
