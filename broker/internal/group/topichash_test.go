package group

import (
	"testing"

	"github.com/zeebo/xxh3"
)

// hashedTopics is a cluster of topics, by name, with their sizes; all have one id.
type hashedTopics struct {
	noTopics
	sizes map[string]int32
}

var hashedID = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func (h *hashedTopics) Topic(name string) (TopicInfo, bool) {
	n, ok := h.sizes[name]
	return TopicInfo{Name: name, ID: hashedID, Partitions: n}, ok
}

// The sums are what org.apache.kafka.coordinator.group.Utils of Apache Kafka 4.3.1 says.
func TestTopicsAreHashedAsKafkaDoes(t *testing.T) {
	for _, c := range []struct {
		name       string
		partitions int32
		racks      []string
		want       uint64
	}{
		{"t", 1, nil, 0xcecc9ddf42233488},
		{"topic-with-a-long.name_1", 3, nil, 0xea5a0d7608352ffa},
		{"r", 2, []string{"r1"}, 0xbc45ed39e0f1bb8c},
		{"s", 2, []string{"rack-b", "rack-a"}, 0xdfe23b06c5c344db},
		{"big", 300, nil, 0x75c0b20d68669f},
		{"bigr", 300, []string{"rack-b", "rack-a"}, 0x3fba1c3c1d5bcee4},
		{"zero", 0, nil, 0x95bf2e528576609},
	} {
		racks := func([16]byte, int32) []string { return c.racks }
		if got := xxh3.Hash(appendTopicHashed(nil, TopicInfo{Name: c.name, ID: hashedID, Partitions: c.partitions}, racks)); got != c.want {
			t.Errorf("topic %s of %d partitions is hashed to %x, Kafka says %x", c.name, c.partitions, got, c.want)
		}
	}
}

func TestAGroupsTopicsAreHashedAsKafkaDoes(t *testing.T) {
	md := &hashedTopics{sizes: map[string]int32{"t": 1, "topic-with-a-long.name_1": 3, "zero": 0, "big": 300}}
	for _, c := range []struct {
		topics []string
		want   uint64
	}{
		{nil, 0},
		{[]string{"missing"}, 0},
		{[]string{"t"}, 0x3f797e24d330153b},
		{[]string{"missing", "t"}, 0x3f797e24d330153b},
		{[]string{"zero", "t", "topic-with-a-long.name_1", "big"}, 0x7b647583ce4121c1},
	} {
		g := &consumerGroup{names: map[string]int{}}
		for _, name := range c.topics {
			g.names[name]++
		}
		if got := uint64(g.hashOf(md)); got != c.want {
			t.Errorf("%v: %x, Kafka says %x", c.topics, got, c.want)
		}
	}
}
