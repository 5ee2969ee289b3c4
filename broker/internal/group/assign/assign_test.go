package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func topic(n byte) TopicID { return TopicID{0: n} }

func subscribed(topics ...byte) map[TopicID]struct{} {
	all := map[TopicID]struct{}{}
	for _, t := range topics {
		all[topic(t)] = struct{}{}
	}
	return all
}

func show(targets []Target, topics ...byte) string {
	var out string
	for _, t := range targets {
		out += "|"
		for _, n := range topics {
			out += fmt.Sprint(t[topic(n)])
		}
	}
	return out
}

func TestRangeGivesTheSameStretchOfEveryTopic(t *testing.T) {
	one := "one"
	members := []Member{
		{ID: "b", Topics: subscribed(1, 2)},
		{ID: "a", Topics: subscribed(1, 2)},
		{ID: "c", InstanceID: &one, Topics: subscribed(1, 2)},
	}
	got := show(Range(members, map[TopicID]int32{topic(1): 4, topic(2): 2}), 1, 2)
	if want := "|[3][]|[2][1]|[0 1][0]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUniformMovesNoMoreThanItMust(t *testing.T) {
	had := Target{topic(1): {0, 1, 2, 3, 4}}
	members := []Member{{ID: "a", Topics: subscribed(1), Had: had}, {ID: "b", Topics: subscribed(1)}}
	if got, want := show(Uniform(members, map[TopicID]int32{topic(1): 5}), 1), "|[0 1 2]|[3 4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What was there stays when the member before it joins anew, and the extra one too.
	members = []Member{{ID: "0", Topics: subscribed(1)}, {ID: "a", Topics: subscribed(1), Had: Target{topic(1): {2, 4}}}}
	if got, want := show(Uniform(members, map[TopicID]int32{topic(1): 3}), 1), "|[0 1]|[2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUniformLevelsMembersOfDifferentSubscriptions(t *testing.T) {
	members := []Member{
		{ID: "a", Topics: subscribed(1, 2), Had: Target{topic(1): {0, 1, 2, 3}, topic(2): {0, 1, 2, 3}}},
		{ID: "b", Topics: subscribed(1)},
	}
	if got, want := show(Uniform(members, map[TopicID]int32{topic(1): 4, topic(2): 4}), 1, 2), "|[][0 1 2 3]|[0 1 2 3][]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNobodyAndNothingIsNoTrouble(t *testing.T) {
	for _, name := range []string{"uniform", "range"} {
		assign := ByName(name)
		if got := assign(nil, map[TopicID]int32{topic(1): 4}); len(got) != 0 {
			t.Errorf("%s gives nobody %v", name, got)
		}
		if got := show(assign([]Member{{ID: "a"}, {ID: "b", Topics: subscribed(9)}}, nil), 9); got != "|[]|[]" {
			t.Errorf("%s gives %s of nothing", name, got)
		}
	}
	if ByName("lottery") != nil {
		t.Error("there is an assignor called lottery")
	}
}

// TestPromises holds every assignor against what the package promises, over histories in which members come, go and change
// their minds, and topics grow.
func TestPromises(t *testing.T) {
	for _, name := range []string{"uniform", "range"} {
		for seed := range uint64(200) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			alike := seed%2 == 0
			partitions := map[TopicID]int32{}
			var members []Member
			for step := range 12 {
				partitions[topic(byte(rnd.IntN(4)))] = int32(rnd.IntN(20))
				members = changed(rnd, members, step, alike)
				before := moves(members)
				targets := ByName(name)(members, partitions)
				if err := check(members, partitions, targets, alike && name == "uniform"); err != nil {
					t.Fatalf("%s, seed %d, step %d: %v", name, seed, step, err)
				}
				for i := range members {
					members[i].Had = targets[i]
				}
				again := ByName(name)(members, partitions)
				if show(again, 0, 1, 2, 3) != show(targets, 0, 1, 2, 3) {
					t.Fatalf("%s, seed %d, step %d: nothing changed but the targets: %v, then %v (before: %v)", name, seed, step, targets, again, before)
				}
			}
		}
	}
}

func changed(rnd *rand.Rand, members []Member, step int, alike bool) []Member {
	if len(members) > 0 && rnd.IntN(3) == 0 {
		i := rnd.IntN(len(members))
		members = slices.Delete(members, i, i+1)
	}
	mb := Member{ID: fmt.Sprint(step)}
	if rnd.IntN(3) == 0 {
		mb.InstanceID = &mb.ID
	}
	members = append(members, mb)
	for i := range members {
		switch {
		case alike:
			members[i].Topics = subscribed(0, 1, 2)
		case members[i].Topics == nil || rnd.IntN(6) == 0:
			members[i].Topics = subscribed(byte(rnd.IntN(4)), byte(rnd.IntN(4)))
		}
	}
	return members
}

func moves(members []Member) string {
	var out string
	for _, mb := range members {
		out += fmt.Sprint(mb.ID, mb.Had)
	}
	return out
}

func check(members []Member, partitions map[TopicID]int32, targets []Target, even bool) error {
	owner := map[TopicID]map[int32]int{}
	least, most := 1<<30, 0
	for i, target := range targets {
		size := 0
		for id, list := range target {
			if _, ok := members[i].Topics[id]; !ok || len(list) == 0 || !slices.IsSorted(list) {
				return fmt.Errorf("member %s got %v of topic %d", members[i].ID, list, id[0])
			}
			if owner[id] == nil {
				owner[id] = map[int32]int{}
			}
			for _, p := range list {
				if other, taken := owner[id][p]; taken || p < 0 || p >= partitions[id] {
					return fmt.Errorf("partition %d of topic %d is given to %d and %d", p, id[0], other, i)
				}
				owner[id][p] = i
				size++
			}
		}
		least, most = min(least, size), max(most, size)
	}
	for id, n := range partitions {
		if len(subscribers(members, id)) > 0 && len(owner[id]) != int(n) {
			return fmt.Errorf("topic %d has %d partitions, %d are given out", id[0], n, len(owner[id]))
		}
	}
	if even && most-least > 1 {
		return fmt.Errorf("one member has %d partitions, another %d", most, least)
	}
	return nil
}
