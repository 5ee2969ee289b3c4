package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// Without an authorizer everything is allowed: the bits of all operations that a topic, or the cluster, knows (KIP-430).
const (
	allTopicOperations = 1<<OpRead | 1<<OpWrite | 1<<OpCreate | 1<<OpDelete | 1<<OpAlter | 1<<OpDescribe |
		1<<OpDescribeConfigs | 1<<OpAlterConfigs
	allClusterOperations = 1<<OpCreate | 1<<OpAlter | 1<<OpDescribe | 1<<OpClusterAction | 1<<OpDescribeConfigs |
		1<<OpAlterConfigs | 1<<OpIdempotentWrite
)

// handleMetadata tells who leads what. Topics that are asked for by name may come into being by that.
func handleMetadata(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.MetadataRequest)
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	if req.Version < 12 && slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} || t.Topic == nil }) {
		for _, t := range req.Topics {
			name := stringOf(t.Topic)
			resp.Topics = append(resp.Topics, kmsg.MetadataResponseTopic{
				ErrorCode: kerr.InvalidRequest.Code, Topic: &name, TopicID: t.TopicID, AuthorizedOperations: notAsked,
			})
		}
		resp.ControllerID = -1
		return resp, nil
	}
	m := metadataAnswer{n: n, im: n.Image(), withOperations: req.IncludeTopicAuthorizedOperations}
	m.topics(ctx, req)
	resp.Topics = m.out
	for _, b := range m.im.Brokers() {
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{
			NodeID: b.ID, Host: r.Conn.Listener.Host, Port: r.Conn.Listener.Port, Rack: nonEmpty(b.Rack),
		})
	}
	id := m.im.ClusterID()
	resp.ClusterID = &id
	resp.ControllerID = n.ID
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = allClusterOperations
	}
	return resp, nil
}

// notAsked stands where operations were not asked for.
const notAsked = -1 << 31

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// metadataAnswer gathers the topics of an answer.
type metadataAnswer struct {
	n              *Node
	im             *controller.Image
	withOperations bool
	out            []kmsg.MetadataResponseTopic
}

func (m *metadataAnswer) topics(ctx context.Context, req *kmsg.MetadataRequest) {
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for _, t := range m.im.Topics() {
			m.add(t)
		}
		return
	}
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	names, ids := seen[string]{}, seen[controller.TopicID]{}
	mayCreate := (req.AllowAutoTopicCreation || req.Version < 4) && m.n.Settings().Bool("auto.create.topics.enable")
	var missing []string
	for _, t := range req.Topics {
		switch {
		case byID && t.TopicID == [16]byte{}:
			// A request that names topics by id is read by ids alone.
		case byID && !ids.first(t.TopicID):
			// Once is enough.
		case byID:
			if topic := m.im.TopicByID(t.TopicID); topic != nil {
				m.add(topic)
			} else {
				m.fail(nil, t.TopicID, kerr.UnknownTopicID.Code)
			}
		case t.Topic != nil && names.first(*t.Topic):
			if topic := m.im.Topic(*t.Topic); topic != nil {
				m.add(topic)
			} else {
				missing = append(missing, *t.Topic)
			}
		}
	}
	m.missing(ctx, setOrder(missing), mayCreate)
}

// missing answers for names that no topic has, and may make the topics.
func (m *metadataAnswer) missing(ctx context.Context, names []string, mayCreate bool) {
	var wanted []string
	if mayCreate {
		for _, name := range names {
			if controller.CheckTopicName(name) == nil && name != controller.MetadataTopic && len(wanted) < maxAutoCreated {
				wanted = append(wanted, name)
			}
		}
	}
	failed := m.n.autoCreate(ctx, wanted)
	for _, name := range names {
		// The topic is there when this is answered; the answer says that it was not, as clients know it from Kafka, and they ask again.
		code := kerr.UnknownTopicOrPartition.Code
		if err := controller.CheckTopicName(name); err != nil {
			code = Code(err)
		} else if err := failed[name]; err != nil {
			code = Code(err)
		}
		m.fail(&name, controller.TopicID{}, code)
	}
}

// maxAutoCreated is how many topics one request may make by naming them. Names beyond it are unknown, which clients ask for again, and are made then: a frame
// of a megabyte names 200,000 topics, each with a directory of its own.
const maxAutoCreated = 100

// autoCreate makes topics because somebody asked for them, all in one change of the metadata, and returns why some could not be made.
func (n *Node) autoCreate(ctx context.Context, names []string) (failed map[string]error) {
	failed = map[string]error{}
	var specs []controller.NewTopic
	for _, name := range names {
		if controller.IsInternal(name) {
			_, failed[name] = n.EnsureInternalTopic(ctx, name)
			continue
		}
		specs = append(specs, controller.NewTopic{Name: name, Partitions: -1, Replication: -1})
	}
	if len(specs) == 0 {
		return failed
	}
	var out []controller.CreatedTopic
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		fresh := slices.DeleteFunc(slices.Clone(specs), func(t controller.NewTopic) bool { return im.Topic(t.Name) != nil })
		records, out = controller.CreateTopics(im, n.Cluster.Env(), fresh)
		return records, nil
	})
	for _, t := range specs {
		failed[t.Name] = err
	}
	for _, t := range out {
		if t.Err != nil {
			failed[t.Name] = t.Err
		}
	}
	return failed
}

func (m *metadataAnswer) fail(name *string, id controller.TopicID, code int16) {
	t := kmsg.NewMetadataResponseTopic()
	t.ErrorCode, t.Topic, t.TopicID = code, name, id
	t.IsInternal = name != nil && controller.IsInternal(*name)
	m.out = append(m.out, t)
}

func (m *metadataAnswer) add(topic *controller.Topic) {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID = &topic.Name, topic.ID
	t.IsInternal = controller.IsInternal(topic.Name)
	if m.withOperations {
		t.AuthorizedOperations = allTopicOperations
	}
	t.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(topic.Partitions))
	for i := range topic.Partitions {
		p, now := &topic.Partitions[i], m.n.standingOf(topic, int32(i))
		t.Partitions[i] = kmsg.MetadataResponseTopicPartition{
			Partition: int32(i), Leader: now.leader, LeaderEpoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: now.isr, OfflineReplicas: now.offline,
		}
		if now.leader == controller.NoLeader {
			t.Partitions[i].ErrorCode = kerr.LeaderNotAvailable.Code
		}
	}
	m.out = append(m.out, t)
}
