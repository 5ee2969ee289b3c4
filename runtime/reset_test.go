package runtime

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Each reset policy says where reading begins when nothing is committed, and nothing once something is.
func TestResetPoliciesSayWhereReadingBegins(t *testing.T) {
	c := newCluster(t)
	for name, test := range map[string]struct {
		opts []stream.SourceOption
		want []string
	}{
		"default":   {nil, []string{"old", "recent", "new", "later"}},
		"earliest":  {[]stream.SourceOption{stream.FromEarliest()}, []string{"old", "recent", "new", "later"}},
		"latest":    {[]stream.SourceOption{stream.FromLatest()}, []string{"new", "later"}},
		"long-ago":  {[]stream.SourceOption{stream.FromAgo(1000 * time.Hour)}, []string{"old", "recent", "new", "later"}},
		"ago":       {[]stream.SourceOption{stream.FromAgo(12 * time.Hour)}, []string{"recent", "new", "later"}},
		"all-older": {[]stream.SourceOption{stream.FromAgo(0)}, []string{"new", "later"}},
	} {
		t.Run(name, func(t *testing.T) {
			topic := stream.NewTopic(c.name+"-"+name, serde.String, serde.String)
			c.createTopic(topic.Name(), 1)
			r := &reader{}
			b := stream.NewBuilder()
			stream.ForEach(stream.From(b, topic, test.opts...), r.add)
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			c.write(t, topic.Name(), "old", -24*time.Hour)
			c.write(t, topic.Name(), "recent", -6*time.Hour)
			for _, value := range []string{"new", "later"} { // later, a successor goes on
				i := c.start(topo, Config{AppID: topic.Name(), Workers: 1})
				if value == "new" {
					i.await(t, "the end of the input", soon, Progress.Done)
				}
				c.write(t, topic.Name(), value, 0)
				i.await(t, value, soon, func(Progress) bool { return slices.Contains(r.values(), value) })
				i.end(t)
			}
			if have := r.values(); !slices.Equal(have, test.want) {
				t.Errorf("read %q, want %q", have, test.want)
			}
		})
	}
}

func TestFromCommittedRefusesAnUnknownBeginning(t *testing.T) {
	c := newCluster(t)
	topic := stream.NewTopic(c.name+"-in", serde.String, serde.String)
	c.createTopic(topic.Name(), 1)
	b := stream.NewBuilder()
	stream.ForEach(stream.From(b, topic, stream.FromCommitted()), func(string, string) {})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.start(topo, Config{}).refused(t, topic.Name(), "no committed offset", "reset_test.go")
}

// write writes a record whose time is that long from now.
func (c *cluster) write(t *testing.T, topic, value string, when time.Duration) {
	t.Helper()
	r := &kgo.Record{Topic: topic, Value: []byte(value), Timestamp: time.Now().Add(when)}
	if err := c.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// reader notes the values that a stream brings, each once.
type reader struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (r *reader) add(_, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.all, value) { // a record may come again
		r.all = append(r.all, value)
	}
}

func (r *reader) values() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}
