package assign

import (
	"container/heap"
	"maps"
	"slices"
)

// Uniform gives every member as many partitions as any other of the same subscriptions, give or take one. Members keep what
// they had as far as that allows, so that as few partitions as possible change hands.
func Uniform(members []Member, partitions map[TopicID]int32) []Target {
	u := &uniform{members: members, partitions: partitions, topics: sortedTopics(partitions), load: make([]int, len(members)), targets: newTargets(len(members))}
	u.owner = make(map[TopicID][]int, len(partitions))
	for topic, n := range partitions {
		free := make([]int, n)
		for p := range free {
			free[p] = nobody
		}
		u.owner[topic] = free
	}
	if u.alike() {
		u.keep(u.quota())
		u.fill()
	} else {
		u.keep(func(int) bool { return true })
		u.fill()
		u.level()
	}
	return u.result()
}

// nobody owns a partition yet.
const nobody = -1

// maxPasses bounds the levelling of groups whose members are subscribed to different topics. Every move lessens the sum of
// the squared loads, so that it ends by itself; a group that needs more passes than this is level but for a few.
const maxPasses = 64

type uniform struct {
	members    []Member
	partitions map[TopicID]int32
	topics     []TopicID
	owner      map[TopicID][]int // by partition: the place of a member, or nobody
	load       []int             // by member
	targets    []Target
}

// alike says whether all members are subscribed to the same topics.
func (u *uniform) alike() bool {
	for i := 1; i < len(u.members); i++ {
		if !maps.Equal(u.members[i].Topics, u.members[0].Topics) {
			return false
		}
	}
	return true
}

// quota says whether a member may keep one more when all are alike: up to the even share, and one more as long as the
// remainder lasts.
func (u *uniform) quota() func(member int) bool {
	total := 0
	for topic, n := range u.partitions {
		if len(u.members) > 0 {
			if _, ok := u.members[0].Topics[topic]; ok {
				total += int(n)
			}
		}
	}
	each, extra := total/max(len(u.members), 1), total%max(len(u.members), 1)
	return func(member int) bool {
		switch {
		case u.load[member] < each:
			return true
		case u.load[member] == each && extra > 0:
			extra--
			return true
		}
		return false
	}
}

// keep leaves to the members what they had, as long as they may have more.
func (u *uniform) keep(mayHaveMore func(member int) bool) {
	for i := range u.members {
		mb := &u.members[i]
		for _, topic := range u.topics {
			if _, ok := mb.Topics[topic]; !ok {
				continue
			}
			for _, p := range mb.Had[topic] {
				if p >= 0 && p < u.partitions[topic] && u.owner[topic][p] == nobody && mayHaveMore(i) {
					u.give(topic, p, i)
				}
			}
		}
	}
}

func (u *uniform) give(topic TopicID, p int32, to int) {
	u.owner[topic][p] = to
	u.load[to]++
}

// fill gives what nobody has to whom has the least. Topics with few subscribers go first: they have no choice.
func (u *uniform) fill() {
	takers := make(map[TopicID][]int, len(u.topics))
	for _, topic := range u.topics {
		takers[topic] = subscribers(u.members, topic)
	}
	order := slices.Clone(u.topics)
	slices.SortStableFunc(order, func(a, b TopicID) int { return len(takers[a]) - len(takers[b]) })
	for _, topic := range order {
		least := &byLoad{load: u.load, members: takers[topic]}
		if len(least.members) == 0 || !slices.Contains(u.owner[topic], nobody) {
			continue
		}
		heap.Init(least)
		for p, owner := range u.owner[topic] {
			if owner == nobody {
				u.give(topic, int32(p), least.members[0])
				heap.Fix(least, 0)
			}
		}
	}
}

// level moves partitions from whom has much to whom has little, topic by topic, until nobody has two more than another who
// could take one of them.
func (u *uniform) level() {
	for range maxPasses {
		moved := false
		for _, topic := range u.topics {
			moved = u.levelTopic(topic, subscribers(u.members, topic)) || moved
		}
		if !moved {
			return
		}
	}
}

func (u *uniform) levelTopic(topic TopicID, takers []int) (moved bool) {
	owned := make(map[int][]int32, len(takers))
	for p, owner := range u.owner[topic] {
		if owner != nobody {
			owned[owner] = append(owned[owner], int32(p))
		}
	}
	for {
		most, least := nobody, nobody
		for _, i := range takers {
			if len(owned[i]) > 0 && (most == nobody || u.load[i] > u.load[most]) {
				most = i
			}
			if least == nobody || u.load[i] < u.load[least] {
				least = i
			}
		}
		if most == nobody || u.load[most]-u.load[least] < 2 {
			return moved
		}
		last := len(owned[most]) - 1
		p := owned[most][last]
		owned[most] = owned[most][:last]
		owned[least] = append(owned[least], p)
		u.load[most]--
		u.give(topic, p, least)
		moved = true
	}
}

func (u *uniform) result() []Target {
	for _, topic := range u.topics {
		for p, owner := range u.owner[topic] {
			if owner != nobody {
				u.targets[owner][topic] = append(u.targets[owner][topic], int32(p))
			}
		}
	}
	return u.targets
}

// byLoad is a heap of members: the least loaded first, the earliest of them if several are.
type byLoad struct {
	load    []int
	members []int
}

func (h *byLoad) Len() int { return len(h.members) }
func (h *byLoad) Less(i, j int) bool {
	a, b := h.members[i], h.members[j]
	if h.load[a] != h.load[b] {
		return h.load[a] < h.load[b]
	}
	return a < b
}
func (h *byLoad) Swap(i, j int) { h.members[i], h.members[j] = h.members[j], h.members[i] }
func (h *byLoad) Push(any)      { panic("assign: the heap of members does not grow") }
func (h *byLoad) Pop() any      { panic("assign: the heap of members does not shrink") }
