package api

import (
	"slices"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// standing is who leads a partition and who follows, as clients are told it.
type standing struct {
	leader  int32   // or controller.NoLeader
	isr     []int32 // of the image, or a copy
	offline []int32 // replicas that cannot be used
}

// standingOf tells how a partition stands. One whose log, or whose directory, is offline at this broker has no leader until a restart has made sure of it: a client that
// learns so waits for one, instead of asking again and again where the answer cannot be another.
func (n *Node) standingOf(t *controller.Topic, number int32) standing {
	p := &t.Partitions[number]
	s := standing{leader: p.Leader, isr: p.ISR}
	held, err := n.Replicas.PartitionByID(t.ID, number)
	if err != nil || held.Err() == nil {
		return s
	}
	s.offline = []int32{n.ID}
	if s.leader == n.ID {
		s.leader = controller.NoLeader
	}
	s.isr = slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == n.ID })
	return s
}
