package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// MapValues replaces each row by what f returns for it. f is not called for rows that are gone. With a store, the result is kept there; without, f is called
// again when a row is looked up.
func MapValues[K, V, W any](t *Table[K, V], f func(row V) W, store ...statestore.TableSpec[K, W]) *Table[K, W] {
	op := topology.Here("ktable.MapValues")
	requireFunc(t.graph(), op, f == nil)
	return mapValues(op, t, func(_ context.Context, _ K, v V) (W, error) { return f(v), nil }, store)
}

// MapValuesWithKey is [MapValues] with a function that also sees the key.
func MapValuesWithKey[K, V, W any](t *Table[K, V], f func(key K, row V) W, store ...statestore.TableSpec[K, W]) *Table[K, W] {
	op := topology.Here("ktable.MapValuesWithKey")
	requireFunc(t.graph(), op, f == nil)
	return mapValues(op, t, func(_ context.Context, k K, v V) (W, error) { return f(k, v), nil }, store)
}

// MapValuesCtx is [MapValuesWithKey] with a function that may fail.
func MapValuesCtx[K, V, W any](t *Table[K, V], f func(ctx context.Context, key K, row V) (W, error), store ...statestore.TableSpec[K, W]) *Table[K, W] {
	op := topology.Here("ktable.MapValuesCtx")
	requireFunc(t.graph(), op, f == nil)
	return mapValues(op, t, f, store)
}

func mapValues[K, V, W any](op topology.Op, t *Table[K, V], f func(ctx context.Context, key K, row V) (W, error),
	store []statestore.TableSpec[K, W]) *Table[K, W] {
	isNull := serde.NullCheck[W]()
	return derive(op, "KTABLE-MAPVALUES-", t, derivation[K, V, W]{row: func(ctx context.Context, k K, v V) (W, bool, error) {
		w, err := f(ctx, k, v)
		return w, isNull == nil || !isNull(&w), err
	}}, store)
}
