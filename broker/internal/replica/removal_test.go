package replica

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
)

func TestFilesOfADeletedTopicStayForTheirDelay(t *testing.T) {
	fs := vfs.NewMem()
	purged := make(chan controller.TopicID, 2)
	h := newHost(t, hostConfig{fs: fs, purged: func(id controller.TopicID) { purged <- id }})
	h.Start()
	slow := h.create("slow", map[string]string{"file.delete.delay.ms": "3600000"})
	quick := h.create("quick", map[string]string{"file.delete.delay.ms": "0"})
	for _, p := range []*Partition{slow, quick} {
		h.append(p, "a")
		h.change(&controller.TopicDeleted{ID: p.TopicID})
	}
	if id := <-purged; id != quick.TopicID {
		t.Fatalf("topic %s is purged", strings.TrimRight(string(id[:]), "\x00"))
	}
	for p, want := range map[*Partition]bool{slow: true, quick: false} {
		if _, err := fs.Stat(fs.PathJoin("topics", p.dir)); (err == nil) != want {
			t.Errorf("the directory of %s: %v, want it there: %t", p.Topic, err, want)
		}
		if err := p.log.Flush(1); !errors.Is(err, commitlog.ErrClosed) {
			t.Errorf("the log of %s is still open: %v", p.Topic, err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	// The next start has nothing to wait for.
	again := newHost(t, hostConfig{fs: fs, clean: true, purged: func(id controller.TopicID) { purged <- id }})
	again.im = h.im
	again.Update(nil, h.im)
	again.Start()
	for range 2 { // the metadata of this test forgets nothing
		<-purged
	}
	if names, err := fs.List("topics"); err != nil || len(names) > 1 {
		t.Errorf("the directories %v (%v) are left", names, err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// Topics that were deleted shortly before the end have open files like all others.
func TestCloseClosesTheLogsOfDeletedTopics(t *testing.T) {
	for name, end := range map[string]func(*host) error{
		"close": func(h *host) error { return h.Close() }, "abandon": func(h *host) error { h.Abandon(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, hostConfig{}) // nobody works in the background: the topic waits in the queue
			p := h.create("t", nil)
			h.append(p, "a")
			h.change(&controller.TopicDeleted{ID: p.TopicID})
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			if err := p.log.Flush(1); !errors.Is(err, commitlog.ErrClosed) {
				t.Errorf("the log is still open: %v", err)
			}
		})
	}
}

func TestDeletedSegmentsArePurgedAfterTheirDelay(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, hostConfig{fs: fs})
	p := h.create("t", map[string]string{"file.delete.delay.ms": "60000"})
	h.append(p, "a")
	if err := p.log.Roll(h.cfg.Now()); err != nil {
		t.Fatal(err)
	}
	h.append(p, "b")
	if _, err := p.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	deleted := func() (n int) {
		names, err := fs.List(fs.PathJoin("topics", p.dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".deleted") {
				n++
			}
		}
		return n
	}
	h.purge()
	if deleted() != 1 {
		t.Errorf("%d deleted segments are kept, want 1", deleted())
	}
	h.now.Add(time.Minute.Milliseconds())
	h.purge()
	if deleted() != 0 {
		t.Errorf("%d deleted segments are left after the delay", deleted())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
