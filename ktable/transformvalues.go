package ktable

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// TransformValues is [MapValues] for a function that can keep state and act by the clock, as those of [stream.Process] can. setup is called once for each task, and
// once more where rows are looked up on the fly; it returns the function. Unlike that of MapValues it is also called for rows that are gone: found is false then, and row
// the zero value. It returns the new row, or false for none.
//
// With a store the result is kept there; without (nil), the function is called again when a row is looked up, so that what it keeps in its own stores should not
// depend on how often it is called. The stores that it uses are named at the end.
func TransformValues[K, V, W any](t *Table[K, V], setup func(p *stream.Operator) func(key K, row V, found bool) (W, bool, error),
	store statestore.TableSpec[K, W], uses ...statestore.Spec) *Table[K, W] {
	op := topology.Here("ktable.TransformValues")
	requireFunc(t.graph(), op, setup == nil)
	var kept []statestore.TableSpec[K, W]
	if given(store) {
		kept = append(kept, store)
	}
	isNull := serde.NullCheck[W]()
	d := derivation[K, V, W]{setup: func(w *topology.Wiring, n *topology.Node) transform[K, V, W] {
		f := setup(stream.NewOperator(w, n, op))
		if f == nil {
			w.Fail(fmt.Errorf("%s at %s: the setup returned no function", op.Name, op.Site))
		}
		return func(key K, row V, found bool) (W, bool, error) {
			made, ok, err := f(key, row, found)
			return made, ok && (isNull == nil || !isNull(&made)), err
		}
	}}
	return derive(op, "KTABLE-TRANSFORMVALUES-", t, d, kept, uses...)
}
