package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/settings"
)

// maxPartitionsPerRequest bounds what one request may ask for, so that one line cannot exhaust memory; Kafka has the same bound.
const maxPartitionsPerRequest = 10_000

// maxPartitions bounds the partitions of the cluster, each of which costs its broker memory and an open file: at the 100 MiB that 1,000 may take, this many
// take 5 GiB.
const maxPartitions = 50_000

// Env is what deciding needs beside the image.
type Env struct {
	Settings *settings.Broker
	NewID    func() TopicID // a random id, never zero
}

// NewTopic asks for a topic.
type NewTopic struct {
	Name        string
	Partitions  int32 // -1: the broker's default
	Replication int16 // -1: the broker's default
	Assignment  []Assignment
	Configs     []Config
}

// Assignment places one partition by hand.
type Assignment struct {
	Partition int32
	Replicas  []int32
}

// Config is one named value; a nil Value is null.
type Config struct {
	Name  string
	Value *string
}

// CreatedTopic is the answer to a NewTopic. On success it describes the topic as it is, or would be.
type CreatedTopic struct {
	Name        string
	ID          TopicID
	Err         error
	Partitions  int32
	Replication int16
	Configs     map[string]string
}

// CreateTopics decides about each topic on its own. The records make the topics that have no Err.
func CreateTopics(im *Image, env Env, topics []NewTopic) ([]Record, []CreatedTopic) {
	var records []Record
	out := make([]CreatedTopic, 0, len(topics))
	budget := int64(maxPartitionsPerRequest)
	room := maxPartitions - im.partitions
	named := countNames(topics, func(t NewTopic) string { return t.Name })
	answered := map[string]bool{}
	made := map[string]bool{}
	for _, t := range topics {
		if answered[t.Name] {
			continue
		}
		answered[t.Name] = true
		if named[t.Name] > 1 {
			out = append(out, CreatedTopic{Name: t.Name, Err: fault(kerr.InvalidRequest, "Duplicate topic name.")})
			continue
		}
		rec, err := decideTopic(im, env, t, made, &budget)
		if err == nil && len(rec.Partitions) > room {
			err = errNoRoom()
		}
		if err != nil {
			out = append(out, CreatedTopic{Name: t.Name, Err: err})
			continue
		}
		made[t.Name] = true
		room -= len(rec.Partitions)
		records = append(records, rec)
		out = append(out, CreatedTopic{
			Name: t.Name, ID: rec.ID, Configs: rec.Configs,
			Partitions: int32(len(rec.Partitions)), Replication: int16(len(rec.Partitions[0].Replicas)),
		})
	}
	return records, out
}

func countNames[T any](list []T, name func(T) string) map[string]int {
	n := make(map[string]int, len(list))
	for _, e := range list {
		n[name(e)]++
	}
	return n
}

func decideTopic(im *Image, env Env, t NewTopic, made map[string]bool, budget *int64) (*TopicCreated, error) {
	if err := CheckTopicName(t.Name); err != nil {
		return nil, err
	}
	if t.Name == MetadataTopic {
		return nil, fault(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", MetadataTopic)
	}
	if im.topics[t.Name] != nil {
		return nil, fault(kerr.TopicAlreadyExists, "Topic '%s' already exists.", t.Name)
	}
	if other := findCollision(im, made, t.Name); other != "" {
		return nil, fault(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", t.Name, other)
	}
	configs, err := checkTopicConfigs(t.Configs)
	if err != nil {
		return nil, err
	}
	var partitions []Partition
	if len(t.Assignment) > 0 {
		partitions, err = placeByHand(im, t)
	} else {
		partitions, err = placeNew(im, env, t, *budget)
	}
	if err != nil {
		return nil, err
	}
	if *budget -= int64(len(partitions)); *budget < 0 {
		return nil, errTooManyPartitions()
	}
	return &TopicCreated{Name: t.Name, ID: env.NewID(), Configs: configs, Partitions: partitions}, nil
}

func errTooManyPartitions() error {
	return fault(kerr.PolicyViolation, "Excessively large number of partitions per request.")
}

func errNoRoom() error {
	return fault(kerr.PolicyViolation, "The cluster would have more than %d partitions, which is the most that it holds.", maxPartitions)
}

func findCollision(im *Image, made map[string]bool, name string) string {
	for other := range im.topics {
		if collides(name, other) {
			return other
		}
	}
	for other := range made {
		if collides(name, other) {
			return other
		}
	}
	return ""
}

func checkTopicConfigs(configs []Config) (map[string]string, error) {
	out := make(map[string]string, len(configs))
	for _, c := range configs {
		if c.Value == nil {
			return nil, fault(kerr.InvalidConfig, "Null value not supported for topic configs: %s", c.Name)
		}
		out[c.Name] = *c.Value
	}
	if err := settings.CheckTopic(out); err != nil {
		return nil, &Fault{kerr.InvalidConfig, err.Error()}
	}
	return out, nil
}

func placeByHand(im *Image, t NewTopic) ([]Partition, error) {
	if t.Replication != -1 {
		return nil, fault(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.Partitions != -1 {
		return nil, fault(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	list := slices.Clone(t.Assignment)
	slices.SortFunc(list, func(a, b Assignment) int { return int(a.Partition) - int(b.Partition) })
	var out []Partition
	factor := 0
	for i, a := range list {
		if a.Partition != int32(i) {
			return nil, fault(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		if err := checkReplicas(im, a.Replicas); err != nil {
			return nil, err
		}
		if factor == 0 {
			factor = len(a.Replicas)
		}
		if len(a.Replicas) != factor {
			return nil, fault(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not "+
				"consistent with previous partitions, which have %d replica(s).", len(a.Replicas), factor)
		}
		out = append(out, newPartition(a.Replicas))
	}
	return out, nil
}

func checkReplicas(im *Image, replicas []int32) error {
	if len(replicas) == 0 {
		return fault(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	for i, id := range replicas {
		if im.brokers[id] == nil {
			return fault(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if slices.Contains(replicas[:i], id) {
			return fault(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	return nil
}

func newPartition(replicas []int32) Partition {
	return Partition{Replicas: slices.Clone(replicas), ISR: slices.Clone(replicas), Leader: replicas[0]}
}

func placeNew(im *Image, env Env, t NewTopic, budget int64) ([]Partition, error) {
	n, factor := int64(t.Partitions), int64(t.Replication)
	if n == -1 {
		n = env.Settings.Int("num.partitions")
	}
	if factor == -1 {
		factor = min(env.Settings.Int("default.replication.factor"), int64(len(im.brokers)))
	}
	switch {
	case factor <= 0:
		return nil, fault(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case n <= 0:
		return nil, fault(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	case n > budget:
		return nil, errTooManyPartitions()
	}
	return place(im, int(n), int(factor), len(im.topics))
}

// place spreads partitions over the brokers in turn, beginning with another broker for each start, so that leaders and followers are even.
func place(im *Image, n, factor, start int) ([]Partition, error) {
	brokers := im.Brokers()
	if factor > len(brokers) {
		return nil, fault(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be "+
			"reached because only %d broker(s) are registered.", factor, factor, len(brokers))
	}
	out := make([]Partition, n)
	for p := range out {
		replicas := make([]int32, factor)
		for r := range replicas {
			replicas[r] = brokers[(start+p+r)%len(brokers)].ID
		}
		out[p] = newPartition(replicas)
	}
	return out, nil
}

// TopicRef names a topic by name or by id, not both.
type TopicRef struct {
	Name  string
	Named bool // by its name, even if that is empty
	ID    TopicID
}

// DeletedTopic is the answer to a TopicRef.
type DeletedTopic struct {
	Name  string
	Named bool // the name is known
	ID    TopicID
	Err   error
}

// DeleteTopics decides about each topic on its own.
func DeleteTopics(im *Image, refs []TopicRef) ([]Record, []DeletedTopic) {
	var records []Record
	out := make([]DeletedTopic, 0, len(refs))
	seen := map[TopicRef]int{}
	for _, ref := range refs {
		seen[ref]++
	}
	twice := namedInBothWays(im, refs)
	for _, ref := range refs {
		n := seen[ref]
		if n == 0 || !ref.Named && twice[ref.ID] {
			continue // answered, or to be answered by its name
		}
		seen[ref] = 0
		d := DeletedTopic{Name: ref.Name, Named: ref.Named, ID: ref.ID}
		t, err := im.find(ref)
		switch {
		case n > 1 && ref.Named:
			d.Err = fault(kerr.InvalidRequest, "Duplicate topic name.")
		case n > 1:
			d.Err = fault(kerr.InvalidRequest, "Duplicate topic id.")
		case err != nil:
			d.Err = err
		case twice[t.ID]:
			d.ID = t.ID
			d.Err = fault(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied.")
		default:
			d.Name, d.Named, d.ID = t.Name, true, t.ID
			records = append(records, &TopicDeleted{t.ID})
		}
		out = append(out, d)
	}
	return records, out
}

// namedInBothWays returns the topics that are named by their name and by their id.
func namedInBothWays(im *Image, refs []TopicRef) map[TopicID]bool {
	byID, both := map[TopicID]bool{}, map[TopicID]bool{}
	for _, ref := range refs {
		byID[ref.ID] = byID[ref.ID] || !ref.Named
	}
	for _, ref := range refs {
		if t := im.topics[ref.Name]; t != nil && byID[t.ID] {
			both[t.ID] = true
		}
	}
	return both
}

func (im *Image) find(ref TopicRef) (*Topic, error) {
	var t *Topic
	switch {
	case ref.Named && ref.ID != TopicID{}:
		return nil, fault(kerr.InvalidRequest, "You may not specify both topic name and topic id.")
	case ref.ID != TopicID{}:
		if t = im.byID[ref.ID]; t == nil {
			return nil, fault(kerr.UnknownTopicID, "This server does not host this topic ID.")
		}
	case !ref.Named:
		return nil, fault(kerr.InvalidRequest, "Neither topic name nor id were specified.")
	default:
		if t = im.topics[ref.Name]; t == nil {
			return nil, fault(kerr.UnknownTopicOrPartition, "This server does not host this topic-partition.")
		}
	}
	return t, nil
}

// Growth asks for more partitions of a topic.
type Growth struct {
	Topic      string
	Count      int32     // the new total
	Assignment [][]int32 // replicas of each added partition; nil: place them
}

// GrownTopic is the answer to a Growth.
type GrownTopic struct {
	Topic string
	Err   error
}

// CreatePartitions decides about each topic on its own.
func CreatePartitions(im *Image, growths []Growth) ([]Record, []GrownTopic) {
	var records []Record
	out := make([]GrownTopic, 0, len(growths))
	named := countNames(growths, func(g Growth) string { return g.Topic })
	room := maxPartitions - im.partitions
	for _, g := range growths {
		n := named[g.Topic]
		if n == 0 {
			continue // answered
		}
		named[g.Topic] = 0
		if n > 1 {
			out = append(out, GrownTopic{g.Topic, fault(kerr.InvalidRequest, "Duplicate topic name.")})
			continue
		}
		rec, err := decideGrowth(im, g)
		if err == nil && len(rec.Partitions) > room {
			err = errNoRoom()
		}
		if err == nil {
			room -= len(rec.Partitions)
			records = append(records, rec)
		}
		out = append(out, GrownTopic{g.Topic, err})
	}
	return records, out
}

func decideGrowth(im *Image, g Growth) (*PartitionsAdded, error) {
	t := im.topics[g.Topic]
	if t == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	have := int32(len(t.Partitions))
	switch {
	case g.Count == have:
		return nil, fault(kerr.InvalidPartitions, "Topic already has %d partition(s).", have)
	case g.Count < have:
		return nil, fault(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", g.Topic, have, g.Count)
	case g.Count-have > maxPartitionsPerRequest:
		return nil, errTooManyPartitions()
	}
	added := int(g.Count - have)
	if g.Assignment == nil {
		parts, err := place(im, added, len(t.Partitions[0].Replicas), int(have))
		return &PartitionsAdded{t.ID, parts}, err
	}
	if len(g.Assignment) != added {
		return nil, fault(kerr.InvalidReplicaAssignment,
			"Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", added, len(g.Assignment))
	}
	rec := &PartitionsAdded{ID: t.ID}
	for _, replicas := range g.Assignment {
		if err := checkReplicas(im, replicas); err != nil {
			return nil, err
		}
		rec.Partitions = append(rec.Partitions, newPartition(replicas))
	}
	return rec, nil
}
