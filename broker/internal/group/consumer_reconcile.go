package group

import (
	"slices"
	"time"
)

// known says whether the state is one that this program writes.
func (s memberState) known() bool { return s >= memberStable && s <= memberUnreleased }

// reconcile takes a member one step towards its target. It gives up first what it shall not own any more, then gets what others
// have given up; no partition ever belongs to two:
//
//	               has to give something up            says that it has, or owns nothing of it
//	Stable ──────────────────────────────▶ Unrevoked ─────────────────────────────────────────┐
//	  │ ▲                                                                                     │
//	  │ └──── all that it shall own is free ◀────────────────────────────────────────────────┤
//	  │                                                                                       ▼
//	  └───── somebody still holds a part of it ──────────────────────────────────────▶ Unreleased
//
// Its epoch becomes the target's when it has nothing to give up any more. changed says that it is subscribed to other topics than
// before: what it is not subscribed to any more it loses at once, whatever its target says.
func (m *Machine) reconcile(g *group, mb *consumerMember, changed bool, owned []OwnedTopic) {
	c := g.consumer
	next := mb.position
	r := reconciler{c: c, mb: mb, owned: owned, epoch: c.assignmentEpoch}
	switch {
	case !changed && mb.reconciledTo(c.assignmentEpoch):
		return
	case mb.state == memberStable && mb.epoch == c.assignmentEpoch:
		next = r.withoutUnsubscribed(c.topicsOf(mb, m.cfg.Topics()))
	case mb.state == memberUnrevoked && r.owns(mb.revoking):
		if changed {
			next = r.withoutUnsubscribed(c.topicsOf(mb, m.cfg.Topics()))
		}
	default:
		next = r.towardsTarget(c.topicsOf(mb, m.cfg.Topics()))
	}
	if next.equal(&mb.position) {
		return
	}
	m.putDown(m.enc.position(g.id, mb.id, &next))
	mb.revokeBy = time.Time{}
	if mb.state == memberUnrevoked && mb.classic == nil {
		mb.revokeBy = m.now.Add(mb.patience())
	}
}

// reconciler works out a member's next position.
type reconciler struct {
	c     *consumerGroup
	mb    *consumerMember
	owned []OwnedTopic // nil: the member does not say
	epoch int32        // of the target
}

// owns says whether the member has something of h in its hands, as far as it tells.
func (r *reconciler) owns(h holdings) bool {
	if r.owned == nil {
		return true
	}
	for _, t := range r.owned {
		for _, p := range t.Partitions {
			if _, ok := h.has(t.ID, p); ok {
				return true
			}
		}
	}
	return false
}

// towardsTarget is the position after the member has given up what it had to.
func (r *reconciler) towardsTarget(subscribed map[[16]byte]struct{}) position {
	kept, lost, waits := holdings{}, holdings{}, false
	for topic, partitions := range r.mb.assigned {
		for p, came := range partitions {
			if r.shallOwn(topic, p, subscribed) {
				kept.add(topic, p, came)
			} else {
				lost.add(topic, p, came)
			}
		}
	}
	if len(lost) > 0 && r.owns(lost) {
		return position{epoch: r.mb.epoch, previous: r.mb.epoch, state: memberUnrevoked, assigned: kept, revoking: lost}
	}
	for topic, partitions := range r.mb.target {
		if _, ok := subscribed[topic]; !ok {
			continue
		}
		for _, p := range partitions {
			if _, has := kept.has(topic, p); has {
				continue
			}
			if holder, taken := r.c.owner[topicPartition{topic, p}]; taken && holder != r.mb.id {
				waits = true
				continue
			}
			kept.add(topic, p, r.epoch)
		}
	}
	next := position{epoch: r.epoch, previous: r.mb.epoch, state: memberStable, assigned: kept}
	if waits {
		next.state = memberUnreleased
	}
	return next
}

func (r *reconciler) shallOwn(topic [16]byte, p int32, subscribed map[[16]byte]struct{}) bool {
	if _, ok := subscribed[topic]; !ok {
		return false
	}
	_, ok := slices.BinarySearch(r.mb.target[topic], p)
	return ok
}

// withoutUnsubscribed is the position without the topics that the member is not subscribed to any more.
func (r *reconciler) withoutUnsubscribed(subscribed map[[16]byte]struct{}) position {
	next := r.mb.position
	kept, lost := holdings{}, holdings{}
	r.mb.revoking.each(func(p topicPartition) { lost.add(p.topic, p.partition, r.mb.revoking[p.topic][p.partition]) })
	dropped := false
	for topic, partitions := range r.mb.assigned {
		if _, ok := subscribed[topic]; ok {
			kept[topic] = partitions
			continue
		}
		dropped = true
		for p, came := range partitions {
			lost.add(topic, p, came)
		}
	}
	if !dropped {
		return next
	}
	next.assigned, next.previous = kept, r.mb.epoch
	if r.owns(lost) {
		next.state, next.revoking = memberUnrevoked, lost
	}
	return next
}
