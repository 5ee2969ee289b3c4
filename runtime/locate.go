package runtime

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Location is where one partition of a store is, as the group last agreed. While partitions move it may be out of date: whoever is asked and has it no longer says so, and
// asking again later helps.
type Location struct {
	Partition int32
	// Here says that it is in this instance, for Query to read.
	Here bool
	// Address is the Config.Advertise of the instance that has it; empty when that told none, or when nobody has it at present.
	Address string
}

// Locate tells which instance has the rows, windows or sessions of a key, so that a program can pass a query on to it:
//
//	at, err := runtime.Locate(app, clicks, user)
//	switch {
//	case err != nil || !at.Here && at.Address == "":
//		http.Error(w, "moving, try again", http.StatusServiceUnavailable)
//	case !at.Here:
//		http.Redirect(w, r, "http://"+at.Address+r.URL.Path, http.StatusTemporaryRedirect)
//	…
//
// It goes by the partition that Kafka's clients choose for a key. It is wrong for topics whose writers choose otherwise, stream.PartitionBy among them: see [App.Locations].
// A global table is here, whatever the key.
func Locate[K any](a *App, spec interface {
	statestore.Spec
	KeySerde() serde.Serde[K]
}, key K) (Location, error) {
	all, err := a.Locations(spec)
	if err != nil {
		return Location{}, err
	}
	b, err := spec.KeySerde().Append(nil, key)
	if err != nil {
		return Location{}, fmt.Errorf("runtime: store %q: key: %w", spec.StoreName(), err)
	}
	return all[topology.PartitionFor(b, int32(len(all)))], nil
}

// Locations tells where each partition of a store is, for queries of many keys. The caller owns the result. A global table counts as one partition, which is here.
func (a *App) Locations(spec statestore.Spec) ([]Location, error) {
	store := spec.StoreName()
	for _, g := range a.topo.Globals() {
		if g.Spec.StoreName() == store {
			return []Location{{Here: true, Address: a.cfg.Advertise}}, nil
		}
	}
	a.mu.Lock()
	workers := a.workers
	a.mu.Unlock()
	if len(workers) == 0 { // the shape and the plan are there before the workers
		return nil, fmt.Errorf("runtime: store %q: this instance has not joined the others yet (state %s)", store, a.State())
	}
	tasks := a.tasksWith(store)
	if len(tasks) == 0 {
		return nil, fmt.Errorf("runtime: the topology has no store %q", store)
	}
	var grant assign.Grant // the latest that any worker was given
	for _, w := range workers {
		if g := w.balancer.latest(); g.Generation > grant.Generation {
			grant = g
		}
	}
	all := make([]Location, len(tasks))
	for i, t := range tasks {
		all[i].Partition = t.Partition
		if owner, address, ok := grant.Owner(t); ok {
			all[i].Here, all[i].Address = assign.ProcessOf(owner) == a.process, address
		}
	}
	return all, nil
}

// tasksWith returns the tasks that have a partition of a store, in order of their partitions.
func (a *App) tasksWith(store string) []topology.TaskID {
	var tasks []topology.TaskID
	for _, sub := range a.shape.Subtopologies() {
		for _, d := range sub.Stores() {
			if d.Spec.StoreName() != store {
				continue
			}
			for _, t := range a.plan.Tasks { // ordered
				if t.Subtopology == sub.ID() {
					tasks = append(tasks, t)
				}
			}
		}
	}
	return tasks
}
