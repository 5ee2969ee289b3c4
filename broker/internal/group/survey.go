package group

// Tally counts what one step does, or many did, for whoever watches the coordinator.
type Tally struct {
	ClassicRebalances  int // generations of classic groups whose members got their assignments
	ConsumerRebalances int // epochs of consumer groups
	Commits            int // offsets committed, those of transactions included whatever becomes of them
	Expired            int // offsets forgotten because their time was over
	Deleted            int // offsets forgotten because somebody, or the end of their topic, said so
}

// Add adds another tally.
func (t *Tally) Add(o Tally) {
	t.ClassicRebalances += o.ClassicRebalances
	t.ConsumerRebalances += o.ConsumerRebalances
	t.Commits += o.Commits
	t.Expired += o.Expired
	t.Deleted += o.Deleted
}

// Standing is how a group stands.
type Standing struct {
	Listing
	Members int
	Offsets []Committed // by topic and partition; nil when there was no room for them
	Left    int         // offsets for which there was no room
}

// Committed is an offset that a group committed.
type Committed struct {
	Partition
	Offset int64
}

// Survey shows how all groups stand, by id, with room for that many offsets in all. A group's offsets come together or not at all.
func (m *Machine) Survey(room int) []Standing {
	all := make([]Standing, 0, len(m.groups))
	for _, l := range m.List() {
		g := m.groups[l.Group]
		s := Standing{Listing: l, Members: g.size()}
		partitions := g.partitions()
		if len(partitions) > room {
			s.Left = len(partitions)
			all = append(all, s)
			continue
		}
		room -= len(partitions)
		s.Offsets = make([]Committed, len(partitions))
		for i, p := range partitions {
			s.Offsets[i] = Committed{Partition: p, Offset: g.offsets[p.Topic][p.Partition].at}
		}
		all = append(all, s)
	}
	return all
}
