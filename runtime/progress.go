package runtime

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// Progress is what an instance has done, as of a moment ago. The caller owns it.
type Progress struct {
	State State
	Tasks []TaskProgress // of this instance, ordered by id
	// Globals are this instance's copies of the global tables.
	Globals []GlobalProgress
	// Processed counts the input records that this instance has processed and committed, those of tasks that have moved away among them.
	Processed int64
	// Commits counts the commits of this instance's workers, Aborts what was taken back to the last commit.
	Commits, Aborts int64
	// LastCommit is the time of the latest of them, zero before the first.
	LastCommit time.Time
	// LastError is why something is being retried at present, nil otherwise.
	LastError error
}

// TaskState is what a task is doing.
type TaskState int8

const (
	TaskStarting  TaskState = iota // fencing the former owner, asking for committed offsets
	TaskRestoring                  // reading changelogs
	TaskRunning
)

func (s TaskState) String() string {
	switch s {
	case TaskStarting:
		return "starting"
	case TaskRestoring:
		return "restoring"
	case TaskRunning:
		return "running"
	}
	return "unknown"
}

// TaskProgress is one task's part of a [Progress].
type TaskProgress struct {
	ID     topology.TaskID
	State  TaskState
	Inputs []InputProgress
	// Processed counts the input records that this instance has processed and committed for the task, whenever it had it.
	Processed int64
	// Restored counts changelog records read, RestoreRemaining how many offsets are left, while the task restores; -1 before that is known.
	Restored, RestoreRemaining int64
	// Drops counts, in the same way, records that went no further.
	Drops []Drops
}

// GlobalProgress is one global table's part of a [Progress].
type GlobalProgress struct {
	Store, Topic string
	Applied      int64   // records of the topic that this instance has read since its start
	Positions    []int64 // by partition of the topic: the copy has what lies before
	Drops        []Drops // of records that came after the start
}

// InputProgress is one input partition of a task.
type InputProgress struct {
	Topic     string
	Partition int32
	Position  int64 // the next offset to process
	Committed int64 // the offset that a successor would begin at
	End       int64 // the partition's high watermark as the broker last told, with what is not committed yet; -1 before it told
	// EndTold is when the broker was asked for End.
	EndTold time.Time
}

// Lag is how many offsets are known to be unread, transaction markers among them.
func (p InputProgress) Lag() int64 {
	if p.End < 0 {
		return -1
	}
	return max(0, p.End-p.Position)
}

// Drops counts records that went no further at an operator.
type Drops struct {
	Operator string
	Reason   string
	Count    int64
}

// Done reports whether every input partition of this instance is committed up to its end, and the ends were asked for after the last commit, so that they include
// what that commit sent on to repartition topics. With one instance it tells that an input which is no longer written to has been processed to the end of the topology.
func (p Progress) Done() bool {
	if p.State != Running || len(p.Tasks) == 0 {
		return false
	}
	for _, t := range p.Tasks {
		if t.State != TaskRunning {
			return false
		}
		for _, in := range t.Inputs {
			if in.End < 0 || in.Committed < in.End || !in.EndTold.After(p.LastCommit) {
				return false
			}
		}
	}
	return true
}

// board is where a worker posts its part of the progress, so that a reader never waits for a commit.
type board struct {
	mu      sync.Mutex
	tasks   []TaskProgress // replaced, never changed; guarded by mu
	commits int64
	aborts  int64
	last    time.Time // commit
	err     error
}

func (b *board) post(tasks []TaskProgress, commits, aborts int64, last time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tasks, b.commits, b.aborts, b.last, b.err = tasks, commits, aborts, last, err
}

// addTo adds what was posted to p.
func (b *board) addTo(p *Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.Tasks = append(p.Tasks, b.tasks...)
	p.Commits += b.commits
	p.Aborts += b.aborts
	if b.last.After(p.LastCommit) {
		p.LastCommit = b.last
	}
	if b.err != nil {
		p.LastError = b.err
	}
}

// tally holds what an instance has done for each task, across the task's moves between workers and its new beginnings.
type tally struct {
	mu    sync.Mutex
	tasks map[topology.TaskID]*taskTally // guarded by mu
}

type taskTally struct {
	processed int64
	drops     map[dropKey]int64
}

// add counts what a commit has made final.
func (y *tally) add(id topology.TaskID, processed int64, drops map[dropKey]int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.tasks == nil {
		y.tasks = make(map[topology.TaskID]*taskTally)
	}
	t := y.tasks[id]
	if t == nil {
		t = &taskTally{drops: make(map[dropKey]int64)}
		y.tasks[id] = t
	}
	t.processed += processed
	for k, n := range drops {
		t.drops[k] += n
	}
}

// addTo fills in the counts of p.
func (y *tally) addTo(p *Progress) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, t := range y.tasks {
		p.Processed += t.processed
	}
	for i := range p.Tasks {
		if t := y.tasks[p.Tasks[i].ID]; t != nil {
			p.Tasks[i].Processed, p.Tasks[i].Drops = t.processed, dropList(t.drops)
		}
	}
}

type dropKey struct {
	node   string
	reason topology.DropReason
}

func dropList(counts map[dropKey]int64) []Drops {
	var list []Drops
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b dropKey) int {
		return cmp.Or(strings.Compare(a.node, b.node), cmp.Compare(a.reason, b.reason))
	}) {
		list = append(list, Drops{Operator: k.node, Reason: k.reason.String(), Count: counts[k]})
	}
	return list
}
