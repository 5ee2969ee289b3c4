package runtime

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	err := Config{AppID: "a b", Brokers: []string{"127.0.0.1:9092", ""}, Workers: -1, CommitInterval: -1, SessionTimeout: time.Second, HeartbeatInterval: time.Second}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"AppID", "Brokers has an empty address", "Workers", "CommitInterval", "HeartbeatInterval"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if err := (Config{AppID: "counts"}).Validate(); err != nil {
		t.Errorf("a name is not enough: %v", err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("no name is enough")
	}
}

func TestGuaranteesHaveNames(t *testing.T) {
	for _, g := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		if got, err := ParseGuarantee(g.String()); got != g || err != nil {
			t.Errorf("%v: %v, %v", g, got, err)
		}
	}
	if _, err := ParseGuarantee("at-most-once"); err == nil {
		t.Error("at-most-once is accepted")
	}
}

func TestOffsetMetadataComesBack(t *testing.T) {
	for _, m := range []offsetMetadata{{time: -1}, {time: 1700000000000, owner: "app-p-0"}, {time: 5, owner: "x", operators: []byte{1, 2, 3}}} {
		if got := decodeMetadata(m.encode()); !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, want %+v", got, m)
		}
	}
	whole := offsetMetadata{time: 5, owner: "somebody", operators: []byte{9}}.encode()
	for _, foreign := range []string{"", "hello", "TVIC", whole[:8], whole[:len(whole)-6]} {
		if got := decodeMetadata(foreign); got.owner == "somebody" {
			t.Errorf("%q is read as %+v", foreign, got)
		}
	}
}

func TestCheckpointComesBack(t *testing.T) {
	c := checkpoint{topic: [16]byte{1, 2, 3}, next: 1 << 40, epoch: -1}
	if got, ok := decodeCheckpoint(c.encode()); !ok || got != c {
		t.Errorf("got %+v, %v; want %+v", got, ok, c)
	}
	for _, b := range [][]byte{nil, {1}, make([]byte, checkpointBytes), append(c.encode(), 0)} {
		if _, ok := decodeCheckpoint(b); ok {
			t.Errorf("%v is a checkpoint", b)
		}
	}
}

func TestStateDirectoryKnowsWhoseItIs(t *testing.T) {
	dir := stateDir{t.TempDir()}
	if err := dir.create("counts"); err != nil {
		t.Fatal(err)
	}
	process, err := dir.process("counts")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := dir.process("counts"); again != process || err != nil {
		t.Errorf("process %q, %v the second time; want %q", again, err, process)
	}
	if err := dir.create("sums"); err == nil || !strings.Contains(err.Error(), `belongs to application "counts"`) {
		t.Errorf("another application: %v", err)
	}
	path := filepath.Join(dir.dir, instanceFile)
	for text, want := range map[string]string{
		"millrace state 2\napp counts\n":                   "format 2",
		"something else":                                   "not the instance file",
		"millrace state 1\napp counts\nprocess nonsense\n": "process id",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := dir.create("counts"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestStatesFollowTheDiagramAndAreToldInOrder(t *testing.T) {
	var mu sync.Mutex
	var told [][2]State
	m := machine{listener: func(from, to State) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, [2]State{from, to})
	}}
	for _, step := range []struct {
		to State
		ok bool
	}{{Running, false}, {Rebalancing, true}, {Running, true}, {Created, false}, {Rebalancing, true}, {PendingShutdown, true}, {Running, false}, {NotRunning, true}, {Failed, false}} {
		if got := m.set(step.to); got != step.ok {
			t.Errorf("to %v in %v: %v", step.to, m.get(), got)
		}
	}
	m.wait()
	want := [][2]State{{Created, Rebalancing}, {Rebalancing, Running}, {Running, Rebalancing}, {Rebalancing, PendingShutdown}, {PendingShutdown, NotRunning}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestDoneNeedsEndsAskedForAfterTheLastCommit(t *testing.T) {
	commit := time.Now()
	at := func(committed, end int64, told time.Time) Progress {
		return Progress{State: Running, LastCommit: commit, Tasks: []TaskProgress{{State: TaskRunning, Inputs: []InputProgress{{Committed: committed, End: end, EndTold: told}}}}}
	}
	later := commit.Add(time.Millisecond)
	for name, c := range map[string]struct {
		p    Progress
		want bool
	}{
		"all":           {at(5, 5, later), true},
		"some":          {at(4, 5, later), false},
		"old news":      {at(5, 5, commit), false},
		"no news":       {at(5, -1, later), false},
		"nothing to do": {Progress{State: Running}, false},
		"restoring":     {Progress{State: Rebalancing, Tasks: at(5, 5, later).Tasks}, false},
	} {
		if got := c.p.Done(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
