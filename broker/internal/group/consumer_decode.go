package group

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"
)

// readKey reads the strings of a key; it says no if there are not exactly n.
func readKey(key []byte, n int) ([]string, bool) {
	r := reader{rest: key[2:]}
	all := make([]string, n)
	for i := range all {
		all[i] = r.string()
	}
	return all, !r.short && len(r.rest) == 0
}

// readValue begins to read a value; nil if it is of a version that is not known.
func readValue(value []byte) *reader {
	if len(value) < 2 || binary.BigEndian.Uint16(value) != consumerValueFormat {
		return nil
	}
	return &reader{rest: value[2:]}
}

// decodeNumber reads the values that are an epoch with a 64-bit number as a tag.
func decodeNumber(value []byte) (epoch int32, number int64, ok bool) {
	r := readValue(value)
	if r == nil {
		return 0, 0, false
	}
	epoch = r.int32()
	r.tags(func(tag uint32, data *reader) {
		if tag == 0 {
			number = int64(data.uint64())
		}
	})
	return epoch, number, !r.short
}

func decodeSubscription(value []byte) (subscription, bool) {
	r := readValue(value)
	if r == nil {
		return subscription{}, false
	}
	s := subscription{instanceID: r.flexNullable(), rackID: r.flexNullable(), clientID: r.flexString(), clientHost: r.flexString()}
	s.topics = r.flexStrings()
	slices.Sort(s.topics)
	s.topics = slices.Compact(s.topics)
	s.pattern = deref(r.flexNullable())
	s.rebalance = fromMillis(max(r.int32(), 0))
	s.assignor = r.flexNullable()
	r.tags(func(tag uint32, data *reader) {
		if tag == 0 {
			s.classic = decodeClassicSide(data)
		}
	})
	return s, !r.short
}

func decodeClassicSide(r *reader) *classicSide {
	if r.uint8() != 1 {
		return nil
	}
	c := &classicSide{session: fromMillis(max(r.int32(), 0))}
	for range r.count(3) {
		p := Protocol{Name: r.flexString(), Metadata: bytes.Clone(r.take(int(r.uvarint()) - 1))}
		r.tags(nil)
		c.protocols = append(c.protocols, p)
	}
	r.tags(nil)
	if len(c.protocols) == 0 {
		r.short = true // a classic member always offers something; there is nothing to do with one that does not
	}
	return c
}

// bytesPerTopic is what a topic with partitions takes in a record at least: its id, a length and its tags.
const bytesPerTopic = 18

func decodeTarget(value []byte) (map[[16]byte][]int32, bool) {
	r := readValue(value)
	if r == nil {
		return nil, false
	}
	target := map[[16]byte][]int32{}
	for range r.count(bytesPerTopic) {
		topic, partitions := r.id(), r.int32s()
		r.tags(nil)
		slices.Sort(partitions)
		if len(partitions) > 0 {
			target[topic] = slices.Compact(partitions)
		}
	}
	r.tags(nil)
	return target, !r.short
}

func (r *reader) int32s() []int32 {
	all := make([]int32, r.count(4))
	for i := range all {
		all[i] = r.int32()
	}
	return all
}

func decodePosition(value []byte) (position, bool) {
	r := readValue(value)
	if r == nil {
		return position{}, false
	}
	p := position{epoch: r.int32(), previous: r.int32(), state: memberState(r.uint8())}
	p.assigned = r.holdings(p.epoch)
	p.revoking = r.holdings(p.epoch)
	r.tags(nil)
	return p, !r.short
}

// holdings reads what appendHoldings wrote. Records from before Kafka 4.3 do not say when a partition came: whoever commits under
// an older epoch than the member's present one was not fenced by a part of the epoch then, and is not now.
func (r *reader) holdings(epoch int32) holdings {
	h := holdings{}
	for range r.count(bytesPerTopic) {
		topic, partitions := r.id(), r.int32s()
		var epochs []int32
		r.tags(func(tag uint32, data *reader) {
			if tag == 0 {
				epochs = data.int32s()
			}
		})
		for i, p := range partitions {
			came := epoch
			if i < len(epochs) {
				came = epochs[i]
			}
			h.add(topic, p, came)
		}
	}
	return h
}

func decodePattern(value []byte) (*pattern, bool) {
	r := readValue(value)
	if r == nil {
		return nil, false
	}
	p := &pattern{topics: r.flexStrings(), version: int64(r.uint64()), at: r.time()}
	slices.Sort(p.topics)
	r.tags(nil)
	return p, !r.short
}

// stampOf is a time as records have it; none is zero.
func stampOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
