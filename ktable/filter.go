package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// Filter keeps the rows for which keep returns true. A row that no longer passes is deleted from the result. With a store, the result is kept there.
func Filter[K, V any](t *Table[K, V], keep func(key K, row V) bool, store ...statestore.TableSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.Filter")
	requireFunc(t.graph(), op, keep == nil)
	return derive(op, "KTABLE-FILTER-", t, derivation[K, V, V]{quiet: true, row: func(_ context.Context, k K, v V) (V, bool, error) { return v, keep(k, v), nil }}, store)
}

// FilterNot keeps the rows for which drop returns false.
func FilterNot[K, V any](t *Table[K, V], drop func(key K, row V) bool, store ...statestore.TableSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.FilterNot")
	requireFunc(t.graph(), op, drop == nil)
	return derive(op, "KTABLE-FILTER-", t, derivation[K, V, V]{quiet: true, row: func(_ context.Context, k K, v V) (V, bool, error) { return v, !drop(k, v), nil }}, store)
}

// FilterCtx is [Filter] with a function that may fail.
func FilterCtx[K, V any](t *Table[K, V], keep func(ctx context.Context, key K, row V) (bool, error), store ...statestore.TableSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.FilterCtx")
	requireFunc(t.graph(), op, keep == nil)
	return derive(op, "KTABLE-FILTER-", t, derivation[K, V, V]{quiet: true, row: func(ctx context.Context, k K, v V) (V, bool, error) {
		ok, err := keep(ctx, k, v)
		return v, ok, err
	}}, store)
}

// FilterNotCtx is [FilterNot] with a function that may fail.
func FilterNotCtx[K, V any](t *Table[K, V], drop func(ctx context.Context, key K, row V) (bool, error), store ...statestore.TableSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.FilterNotCtx")
	requireFunc(t.graph(), op, drop == nil)
	return derive(op, "KTABLE-FILTER-", t, derivation[K, V, V]{quiet: true, row: func(ctx context.Context, k K, v V) (V, bool, error) {
		out, err := drop(ctx, k, v)
		return v, !out, err
	}}, store)
}
