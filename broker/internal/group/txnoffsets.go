package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// openTxn is what one producer's transaction will commit in this partition of the internal topic.
type openTxn struct {
	offsets map[groupPartition]offset
}

type groupPartition struct {
	group string
	Partition
}

// hold keeps an offset until its transaction ends.
func (m *Machine) hold(groupID string, p Partition, o offset, by entry.Producer) {
	t := m.txns[by.ID]
	if t == nil {
		t = &openTxn{offsets: map[groupPartition]offset{}}
		m.txns[by.ID] = t
	}
	gp := groupPartition{groupID, p}
	if _, again := t.offsets[gp]; !again {
		g := m.obtain(groupID)
		if g.pending == nil {
			g.pending = map[Partition]int{}
		}
		g.pending[p]++
	}
	t.offsets[gp] = o
}

// release forgets what open transactions hold for a partition: its offset was deleted after they wrote theirs.
func (m *Machine) release(g *group, p Partition) {
	if g.pending[p] == 0 {
		return
	}
	for _, t := range m.txns {
		delete(t.offsets, groupPartition{g.id, p})
	}
	delete(g.pending, p)
}

// ApplyMarker ends the transaction that the marker's producer has open: its offsets count from now on, or never did. An
// offset that was committed without a transaction later than the transaction's stays.
func (m *Machine) ApplyMarker(mk entry.Marker) {
	t := m.txns[mk.ID]
	if t == nil {
		return
	}
	delete(m.txns, mk.ID)
	for _, gp := range slices.SortedFunc(maps.Keys(t.offsets), compareGroupPartitions) {
		g := m.obtain(gp.group)
		if g.pending[gp.Partition]--; g.pending[gp.Partition] <= 0 {
			delete(g.pending, gp.Partition)
		}
		o := t.offsets[gp]
		if mk.Commit && g.offsets[gp.Topic][gp.Partition.Partition].seq < o.seq {
			g.setOffset(gp.Partition, o)
		}
		m.dropIfBare(g)
	}
}

func compareGroupPartitions(a, b groupPartition) int {
	if c := strings.Compare(a.group, b.group); c != 0 {
		return c
	}
	return comparePartitions(a.Partition, b.Partition)
}
