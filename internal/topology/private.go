package topology

// recordOrigin says whose records a node passes on.
type recordOrigin int8

const (
	otherRecords recordOrigin = iota // nothing is known of them
	ownRecords
	inputRecords
)

// MakesRecords says that the node passes on one record of its own, filled anew for each of its inputs and not looked at afterwards.
func (n *Node) MakesRecords() *Node {
	n.passes = ownRecords
	return n
}

// PassesRecords says that the node passes on the records that it gets, and does not look at them afterwards.
func (n *Node) PassesRecords() *Node {
	n.passes = inputRecords
	return n
}

// Private reports whether nobody but a node sees the records that it gets, so that it may change key and value in place, for the next operator, instead of filling a record of its
// own. Wrappers see records too, and may call for the same one twice.
func (w *Wiring) Private(n *Node) bool {
	return len(w.task.sub.topo.wrappers) == 0 && n.takesPrivate()
}

func (n *Node) takesPrivate() bool {
	for _, p := range n.parents {
		if len(p.children) > 1 || p.passes == otherRecords || p.passes == inputRecords && !p.takesPrivate() {
			return false
		}
	}
	return true
}
