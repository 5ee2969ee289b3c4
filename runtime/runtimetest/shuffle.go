package runtimetest

import "math/rand/v2"

// arrivals decides, by a seed, when the records of each partition reach the task that reads them: what fetches and the network decide for an application. A nil one
// lets records arrive as soon as they are visible.
type arrivals struct {
	rng *rand.Rand
	all bool // nothing stays on the way: a commit waits for it
}

func newArrivals(seed uint64) *arrivals {
	if seed == 0 {
		return nil
	}
	return &arrivals{rng: rand.New(rand.NewPCG(seed, 0))}
}

// visible is how many records of a queue's partition its task has got.
func (q *queue) visible() int {
	n := len(q.log.partitions[q.partition])
	if q.task.d.arrivals == nil {
		return n
	}
	return min(q.arrived, n)
}

// onTheWay returns the queues that have records to come, in a fixed order.
func (d *Driver) onTheWay() (all []*queue) {
	if d.arrivals == nil {
		return nil
	}
	for _, t := range d.tasks {
		for _, q := range t.queues {
			if q.arrived < len(q.log.partitions[q.partition]) {
				all = append(all, q)
			}
		}
	}
	return all
}

// arrive lets some records come in, each of a partition that is drawn; whether one more does before the next is processed is drawn too.
func (d *Driver) arrive() error {
	for {
		waiting := d.onTheWay()
		if len(waiting) == 0 || (!d.heads.empty() || !d.arrivals.all) && d.arrivals.rng.IntN(2) == 0 {
			return nil
		}
		q := waiting[d.arrivals.rng.IntN(len(waiting))]
		q.arrived++
		if err := q.advance(); err != nil {
			return err
		}
		d.heads.offer(q)
	}
}
