package topology

// due is a binary heap of punctuators, the next one first. What is due at one time comes in the order in which Kafka Streams has it, which follows from how elements move
// in its queue, a java.util.PriorityQueue: in a heap of two that is the order in which they came.
type due []*punctuator

// push adds a punctuator. It rises past those that are due later.
func (d *due) push(p *punctuator) {
	q := append(*d, p)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent].next <= p.next {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = p
	*d = q
}

// pop takes the first punctuator out. The last one takes its place, and sinks past those that are due earlier.
func (d *due) pop() *punctuator {
	q := *d
	first, last := q[0], len(q)-1
	p := q[last]
	q[last] = nil
	q = q[:last]
	*d = q
	if last == 0 {
		return first
	}
	i := 0
	for child := 1; child < last; child = 2*i + 1 {
		if right := child + 1; right < last && q[right].next < q[child].next {
			child = right
		}
		if p.next <= q[child].next {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = p
	return first
}
