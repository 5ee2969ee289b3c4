package runtimetest

import "github.com/millrace-io/millrace/statestore"

// KeyValue returns the committed rows of a store, over all partitions.
func KeyValue[K, V any](d *Driver, spec *statestore.KeyValueSpec[K, V]) statestore.ReadOnlyKeyValue[K, V] {
	return spec.View(d.partitionsOf(spec.StoreName()))
}

// Window returns the committed windows of a store, over all partitions.
func Window[K, V any](d *Driver, spec *statestore.WindowSpec[K, V]) statestore.ReadOnlyWindow[K, V] {
	return spec.View(d.partitionsOf(spec.StoreName()))
}

// Session returns the committed sessions of a store, over all partitions.
func Session[K, V any](d *Driver, spec *statestore.SessionSpec[K, V]) statestore.ReadOnlySession[K, V] {
	return spec.View(d.partitionsOf(spec.StoreName()))
}

// Versioned returns the committed rows of a store with history, over all partitions.
func Versioned[K, V any](d *Driver, spec *statestore.VersionedSpec[K, V]) statestore.ReadOnlyVersioned[K, V] {
	return spec.View(d.partitionsOf(spec.StoreName()))
}

// Query returns a view of what is committed in a store of any kind, over all partitions: what runtime.Query is for an application.
func Query[View any](d *Driver, spec interface {
	statestore.Spec
	View(partitions []statestore.Partition) View
}) View {
	return spec.View(d.partitionsOf(spec.StoreName()))
}

// partitionsOf returns the engine's partitions of a store in order.
func (d *Driver) partitionsOf(store string) (all []statestore.Partition) {
	for _, g := range d.globals {
		if g.table.Spec.StoreName() == store {
			return []statestore.Partition{g.partition}
		}
	}
	for _, t := range d.tasks {
		for _, s := range t.stores {
			if s.decl.Spec.StoreName() == store {
				all = append(all, s.partition)
			}
		}
	}
	return all
}
