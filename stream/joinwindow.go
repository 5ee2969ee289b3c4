package stream

import (
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// JoinWindow says how far apart in time two records may be that belong together: the right one's time lies from before the left one's to after it, both bounds
// included. A negative bound moves the whole window to one side. Methods return a changed copy.
type JoinWindow struct {
	before, after, grace, every time.Duration
}

// Within joins records whose times differ by d at most. There is no grace until Grace sets one.
func Within(d time.Duration) JoinWindow { return JoinWindow{before: d, after: d} }

// Before sets how much earlier than the left record the right one may be.
func (w JoinWindow) Before(d time.Duration) JoinWindow {
	w.before = d
	return w
}

// After sets how much later than the left record the right one may be.
func (w JoinWindow) After(d time.Duration) JoinWindow {
	w.after = d
	return w
}

// Grace sets how long after the end of its window a record waits for a late partner. Records are kept for before + after + grace.
func (w JoinWindow) Grace(d time.Duration) JoinWindow {
	w.grace = d
	return w
}

// EmitEvery makes left and outer joins look for records that stayed alone at most once in d of wall-clock time, which saves work when there are very many.
// Without it they look whenever time moves on.
func (w JoinWindow) EmitEvery(d time.Duration) JoinWindow {
	w.every = d
	return w
}

// retention is how long records are kept. Records of one time can meet even when the window is one instant.
func (w JoinWindow) retention() time.Duration {
	return max(w.before+w.after+w.grace, time.Millisecond)
}

// check reports windows that cannot be.
func (w JoinWindow) check(g *topology.Graph, op topology.Op) {
	if w.before+w.after < 0 {
		g.Fault(op, "a window from %v before to %v after ends before it begins", w.before, w.after)
	}
	if w.grace < 0 {
		g.Fault(op, "a grace of %v: it must not be negative", w.grace)
	}
	if w.every < 0 {
		g.Fault(op, "an interval of %v: it must not be negative", w.every)
	}
	for _, d := range [...]time.Duration{w.before, w.after, w.grace, w.every} {
		if d%time.Millisecond != 0 {
			g.Fault(op, "%v is no whole number of milliseconds, which is what records' times are counted in", d)
		}
	}
}

// JoinState is the handle of what a join of two streams keeps: its name, which is durable, and how keys and the values of both sides are encoded. An inner
// join has the stores <name>-this-join-store and <name>-other-join-store, as Kafka Streams names them; left and outer joins have a third, for records
// that are alone so far. Where keys were changed above, the join owns the topics <app>-<name>-left-repartition and <app>-<name>-right-repartition.
// Immutable; methods return a changed copy.
type JoinState[K, L, R any] struct {
	name        string
	key         serde.Serde[K]
	left        serde.Serde[L]
	right       serde.Serde[R]
	inMemory    bool
	noChangelog bool
	oneStore    bool
	partitions  int
	config      [][2]string // settings of the changelogs
}

// NewJoinState describes the state of a join.
func NewJoinState[K, L, R any](name string, key serde.Serde[K], left serde.Serde[L], right serde.Serde[R]) JoinState[K, L, R] {
	return JoinState[K, L, R]{name: name, key: key, left: left, right: right}
}

// InMemory keeps the state in memory even when the application keeps its state on disk.
func (s JoinState[K, L, R]) InMemory() JoinState[K, L, R] {
	s.inMemory = true
	return s
}

// WithoutChangelog makes the state a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s JoinState[K, L, R]) WithoutChangelog() JoinState[K, L, R] {
	s.noChangelog = true
	return s
}

// ChangelogConfig sets a topic setting of the changelogs, by Kafka's name.
func (s JoinState[K, L, R]) ChangelogConfig(key, value string) JoinState[K, L, R] {
	s.config = append(slices.Clip(s.config), [2]string{key, value})
	return s
}

// OneStore keeps the records of a stream that is joined with itself once, not once for each side. A record without a key or value counts as one drop then, not
// two. Only an inner join can do so.
func (s JoinState[K, L, R]) OneStore() JoinState[K, L, R] {
	s.oneStore = true
	return s
}

// isSelf reports whether a join is of a stream with itself, as OneStore needs it.
func (s JoinState[K, L, R]) isSelf(g *topology.Graph, op topology.Op, k joinKind, left topology.Edge[K, L], right topology.Edge[K, R]) bool {
	_, sameType := any(left).(topology.Edge[K, R])
	if k != innerJoin || left.Node != right.Node || !sameType {
		g.Fault(op, "one store will not do for join %q: it is no inner join of a stream with itself", s.name)
		return false
	}
	return true
}

// Partitions fixes the number of partitions of the join's repartition topics.
func (s JoinState[K, L, R]) Partitions(n int) JoinState[K, L, R] {
	s.partitions = n
	return s
}

// check reports what the handle lacks.
func (s JoinState[K, L, R]) check(g *topology.Graph, op topology.Op) {
	if s.name == "" {
		g.Fault(op, "a join needs a name for its state")
	}
	if s.key == nil || s.left == nil || s.right == nil {
		g.Fault(op, "the state of join %q lacks a serde", s.name)
	}
}

// storeOption is what the spec of each kind of store can do.
type storeOption[S any] interface {
	InMemory() S
	WithoutChangelog() S
	ChangelogConfig(key, value string) S
}

// with applies the options to the spec of one store.
func with[K, L, R any, S storeOption[S]](s JoinState[K, L, R], spec S) S {
	if s.inMemory {
		spec = spec.InMemory()
	}
	if s.noChangelog {
		spec = spec.WithoutChangelog()
	}
	for _, c := range s.config {
		spec = spec.ChangelogConfig(c[0], c[1])
	}
	return spec
}

// The stores of a join, by the names that Kafka Streams gives them.
func (s JoinState[K, L, R]) leftStore(k joinKind, w JoinWindow) *statestore.JoinWindowSpec[K, L] {
	name := s.name + "-this-join-store"
	if k == outerJoin {
		name = s.name + "-outer-this-join-store"
	}
	return with(s, statestore.JoinWindow(name, s.key, s.left).Retain(w.retention()))
}

func (s JoinState[K, L, R]) rightStore(k joinKind, w JoinWindow) *statestore.JoinWindowSpec[K, R] {
	name := s.name + "-other-join-store"
	if k != innerJoin {
		name = s.name + "-outer-other-join-store"
	}
	return with(s, statestore.JoinWindow(name, s.key, s.right).Retain(w.retention()))
}

func (s JoinState[K, L, R]) unmatchedStore(k joinKind) *statestore.UnmatchedSpec[K, L, R] {
	name := s.name + "-left-shared-join-store"
	if k == outerJoin {
		name = s.name + "-outer-shared-join-store"
	}
	return with(s, statestore.Unmatched(name, s.key, s.left, s.right))
}
