package assign

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// TopicID names a topic.
type TopicID = [16]byte

// Target is what a member shall own: partitions by topic, in order. A topic without partitions is not in it.
type Target = map[TopicID][]int32

// Member is one member of the group, with what it had so far.
type Member struct {
	ID         string
	InstanceID *string // of a static member
	Topics     map[TopicID]struct{}
	Had        Target // may name topics and partitions that are gone
}

// Assignor computes the targets of the members, in their order. partitions says how many each topic has; a topic that is
// not in it does not exist.
type Assignor func(members []Member, partitions map[TopicID]int32) []Target

// ByName returns the assignor of a name, or nil.
func ByName(name string) Assignor {
	switch name {
	case "uniform":
		return Uniform
	case "range":
		return Range
	}
	return nil
}

func sortedTopics(partitions map[TopicID]int32) []TopicID {
	return slices.SortedFunc(maps.Keys(partitions), func(a, b TopicID) int { return bytes.Compare(a[:], b[:]) })
}

// subscribers are the places of the members that are subscribed to a topic, in order.
func subscribers(members []Member, topic TopicID) []int {
	var all []int
	for i := range members {
		if _, ok := members[i].Topics[topic]; ok {
			all = append(all, i)
		}
	}
	return all
}

func newTargets(n int) []Target {
	all := make([]Target, n)
	for i := range all {
		all[i] = Target{}
	}
	return all
}

// Range cuts every topic into stretches, one for each member that is subscribed to it; the first ones are longer by one if
// it does not come out even. Static members come first, by instance, then the others by id, so that members which are
// subscribed to the same topics get the same partitions of each.
func Range(members []Member, partitions map[TopicID]int32) []Target {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareForRange(&members[a], &members[b]) })
	targets := newTargets(len(members))
	for _, topic := range sortedTopics(partitions) {
		var takers []int
		for _, i := range order {
			if _, ok := members[i].Topics[topic]; ok {
				takers = append(takers, i)
			}
		}
		cut(targets, takers, topic, int(partitions[topic]))
	}
	return targets
}

func compareForRange(a, b *Member) int {
	switch {
	case a.InstanceID != nil && b.InstanceID != nil:
		return cmp.Compare(*a.InstanceID, *b.InstanceID)
	case a.InstanceID != nil:
		return -1
	case b.InstanceID != nil:
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

// cut gives the partitions [0, n) of a topic to the takers, in order.
func cut(targets []Target, takers []int, topic TopicID, n int) {
	if len(takers) == 0 {
		return
	}
	each, longer := n/len(takers), n%len(takers)
	next := int32(0)
	for at, i := range takers {
		size := each
		if at < longer {
			size++
		}
		if size == 0 {
			return
		}
		stretch := make([]int32, size)
		for j := range stretch {
			stretch[j] = next
			next++
		}
		targets[i][topic] = stretch
	}
}
