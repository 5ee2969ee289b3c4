package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/groups"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleOffsetFetch tells committed offsets: of one group up to v7, of many from v8 on. A group that never was has none,
// which is no error; one named twice is.
func handleOffsetFetch(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.OffsetFetchRequest)
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version < 8 {
		fetchOffsetsOfOne(ctx, n, req, resp)
		return resp, nil
	}
	named := seen[string]{}
	for i := range req.Groups {
		if !named.first(req.Groups[i].Group) {
			again := kmsg.NewOffsetFetchResponseGroup()
			again.Group, again.ErrorCode = req.Groups[i].Group, kerr.InvalidRequest.Code
			resp.Groups = append(resp.Groups, again)
			continue
		}
		f := offsetFetch{node: n, image: n.Image(), byID: req.Version >= 10, stable: req.RequireStable}
		resp.Groups = append(resp.Groups, f.group(ctx, &req.Groups[i]))
	}
	return resp, nil
}

// fetchOffsetsOfOne answers in the old form by way of the new one.
func fetchOffsetsOfOne(ctx context.Context, n *Node, req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) {
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = req.Group
	if req.Topics != nil || req.Version < 2 {
		asked.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		asked.Topics = append(asked.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	f := offsetFetch{node: n, image: n.Image(), stable: req.RequireStable}
	g := f.group(ctx, &asked)
	resp.ErrorCode = g.ErrorCode
	for _, t := range g.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
		}
		resp.Topics = append(resp.Topics, out)
	}
	if req.Version < 2 && g.ErrorCode != 0 { // no place for the group's error but with each partition
		resp.Topics = nil
		for _, t := range req.Topics {
			out := kmsg.NewOffsetFetchResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				out.Partitions = append(out.Partitions, kmsg.OffsetFetchResponseTopicPartition(noOffset(p, g.ErrorCode)))
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
}

// offsetFetch answers for one group.
type offsetFetch struct {
	node   *Node
	image  *controller.Image
	byID   bool
	stable bool
}

func (f *offsetFetch) group(ctx context.Context, asked *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = asked.Group
	var partitions []group.Partition // nil: all
	if asked.Topics != nil {
		withoutRepeats(asked.Topics)
		partitions = f.known(asked.Topics)
	}
	found, err := f.node.Groups.Fetch(ctx, asked.Group, groups.Fetcher{MemberID: asked.MemberID, Epoch: asked.MemberEpoch}, partitions, f.stable)
	switch {
	case err != nil:
		resp.ErrorCode = Code(err)
	case asked.Topics == nil:
		resp.Topics = f.all(found)
	default:
		resp.Topics = f.named(asked.Topics, found)
	}
	return resp
}

// withoutRepeats leaves the first few namings of each partition: an offset may have 4 KiB of metadata, and its naming four bytes.
func withoutRepeats(topics []kmsg.OffsetFetchRequestGroupTopic) {
	type name struct {
		topic     string
		id        [16]byte
		partition int32
	}
	names := seen[name]{}
	for i := range topics {
		t := &topics[i]
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p int32) bool { return !names.few(name{t.Topic, t.TopicID, p}) })
	}
}

// known are the partitions asked for whose topic has a name.
func (f *offsetFetch) known(topics []kmsg.OffsetFetchRequestGroupTopic) []group.Partition {
	partitions := []group.Partition{}
	for _, t := range topics {
		name, ok := f.name(&t)
		if !ok {
			continue
		}
		for _, p := range t.Partitions {
			partitions = append(partitions, group.Partition{Topic: name, Partition: p})
		}
	}
	return partitions
}

func (f *offsetFetch) name(t *kmsg.OffsetFetchRequestGroupTopic) (string, bool) {
	if !f.byID {
		return t.Topic, true
	}
	if topic := f.image.TopicByID(t.TopicID); topic != nil {
		return topic.Name, true
	}
	return "", false
}

// named answers in the request's order; found has what known asked for.
func (f *offsetFetch) named(topics []kmsg.OffsetFetchRequestGroupTopic, found []group.FetchedOffset) []kmsg.OffsetFetchResponseGroupTopic {
	var out []kmsg.OffsetFetchResponseGroupTopic
	for _, t := range topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		_, known := f.name(&t)
		for _, p := range t.Partitions {
			if !known {
				topic.Partitions = append(topic.Partitions, noOffset(p, kerr.UnknownTopicID.Code))
				continue
			}
			topic.Partitions = append(topic.Partitions, f.partition(&found[0], t.TopicID))
			found = found[1:]
		}
		out = append(out, topic)
	}
	return out
}

// all answers with everything; found is sorted by topic. Topics that are gone have no id to be named by.
func (f *offsetFetch) all(found []group.FetchedOffset) []kmsg.OffsetFetchResponseGroupTopic {
	var out []kmsg.OffsetFetchResponseGroupTopic
	for i := range found {
		o := &found[i]
		if i == 0 || found[i-1].Topic != o.Topic {
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic = o.Topic
			if t := f.image.Topic(o.Topic); t != nil {
				topic.TopicID = t.ID
			}
			out = append(out, topic)
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, f.partition(o, last.TopicID))
	}
	if !f.byID {
		return out
	}
	named := out[:0]
	for _, t := range out {
		if t.TopicID != [16]byte{} {
			named = append(named, t)
		}
	}
	return named
}

// partition tells one offset. One that was committed for an earlier topic of the same name says nothing about this one.
func (f *offsetFetch) partition(o *group.FetchedOffset, topicID [16]byte) kmsg.OffsetFetchResponseGroupTopicPartition {
	none := [16]byte{}
	if f.byID && o.TopicID != none && o.TopicID != topicID {
		return noOffset(o.Partition.Partition, 0)
	}
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition = o.Partition.Partition
	p.Offset, p.LeaderEpoch, p.Metadata = o.Offset, o.LeaderEpoch, &o.Metadata
	p.ErrorCode = Code(o.Err)
	return p
}

func noOffset(partition int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, new(string), code
	return p
}
