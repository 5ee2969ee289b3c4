package golden_test

import (
	"context"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// cogroupInput is one input of a cogroup of a case.
type cogroupInput struct{ Of, Add string }

// cg is a cogroup of a case; with windows it is a windowed one.
type cg struct {
	in     *interpreter
	inputs []cogroupInput
	window *caseWindow
}

// additions are the inputs; one that is given twice is the same grouped stream both times.
func (c *cg) additions(store string) (all []ktable.Addition[text, text]) {
	grouped := map[string]*stream.Grouped[text, text]{}
	for _, i := range c.inputs {
		g, ok := c.in.nodes[i.Of].(*gr[text])
		if !ok {
			skip("cogroup of windowed keys")
		}
		if grouped[i.Of] == nil {
			grouped[i.Of] = g.grouped(store)
		}
		add := parseCombiner(i.Add)
		all = append(all, ktable.AddCtx(grouped[i.Of], func(_ context.Context, k, v, agg text) (text, error) { return add(k, agg, v) }))
	}
	return all
}

func (c *cg) keys() serde.Serde[text] { return c.in.nodes[c.inputs[0].Of].(*gr[text]).s.keys }

func (c *cg) windowed(w *caseWindow, _ emission) rowGrouper {
	return &cg{in: c.in, inputs: c.inputs, window: w}
}

func (c *cg) count(*interpreter, *caseOp) tabler {
	skip("count of a cogroup")
	return nil
}

func (c *cg) aggregate(in *interpreter, op *caseOp, _ bool) tabler {
	keys, values := c.keys(), serde.Serde[text](textSerde{str})
	init := func() text { return textOf(op.Init) }
	all := c.additions(op.Store)
	switch {
	case c.window == nil:
		return &tb[text, text]{t: ktable.Cogroup(init, rowsOf(in, op, keys, values), all[0], all[1:]...), keys: keys, values: values, keyKind: str, kind: str}
	case c.window.Type == "session":
		merge := parseCombiner(op.Merge)
		spec := session(in, op, keys, values)
		t := ktable.CogroupSessionsCtx(stream.Sessions(ms(c.window.Gap)).Grace(ms(c.window.Grace)), init,
			func(_ context.Context, k, earlier, later text) (text, error) { return merge(k, earlier, later) }, spec, all[0], all[1:]...)
		return &tb[stream.Windowed[text], text]{t: t, keys: serde.SessionWindowed(keys), values: values, keyKind: str, kind: str}
	}
	w := windowsOf(c.in.nodes[c.inputs[0].Of].(*gr[text]), c.window)
	spec := window(in, op, w, values)
	t := ktable.CogroupWindows(w.windows, init, spec, all[0], all[1:]...)
	return &tb[stream.Windowed[text], text]{t: t, keys: serde.TimeWindowed(keys, w.size), values: values, keyKind: str, kind: str}
}
