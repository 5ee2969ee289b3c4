package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestStories plays the scripts in testdata/stories. Every command answers with what the step was heard to say, by the labels of
// the requests; after every command the state is compared with what a reload would give.
//
//	new [limit=value…]                                 a fresh coordinator; without it, one with no initial delay
//	join LABEL group=g [member= instance= client= type= protocols=(name:metadata,…) session= rebalance=] [known] [skip]
//	sync LABEL group=g member= [instance= generation= type= protocol= assign=(member:data,…)]
//	heartbeat group=g member= [instance= generation=]
//	leave group=g (member[/instance])…                 a static member by instance alone: /instance
//	commit group=g offsets=(topic-partition:offset[:metadata],…) [member= instance= generation= producer= retention= topic-id=]
//	marker producer= commit|abort
//	fetch group=g [offsets=(topic-partition,…)] [stable]
//	describe group=g    list    delete group=g    delete-offsets group=g offsets=(…)    topics-deleted topic[=id]…
//	topic NAME partitions=N    drop-topic NAME         what the cluster has
//	beat group=g member= epoch= [instance= rack= topics=(…) regex= assignor= owned=(t-0,…) rebalance=] [v0]   a consumer group's heartbeat; a join has owned=()
//	describe-consumer group=g    check-fetch group=g member= epoch=
//	advance DURATION                                   with every tick on its time
//	reload                                             a new coordinator from the log; whoever waits is forgotten
//	dump                                               what the log knows
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		w := newWorld(Config{})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				w = newWorld(storyConfig(t, d))
				return ""
			}
			w.heard = nil
			out := (&story{world: w, t: t, d: d}).run()
			w.checkReload(t)
			if len(w.heard) > 0 {
				out += strings.Join(w.heard, "\n") + "\n"
			}
			if out == "" {
				out = "(nothing)\n"
			}
			return out
		})
	})
}

type story struct {
	*world
	t *testing.T
	d *datadriven.TestData
}

func storyConfig(t *testing.T, d *datadriven.TestData) (cfg Config) {
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "initial-delay":
			cfg.InitialRebalanceDelay = parseDuration(t, a.Vals[0])
		case "retention":
			cfg.OffsetsRetention = parseDuration(t, a.Vals[0])
		case "max-members":
			cfg.MaxMembers, _ = strconv.Atoi(a.Vals[0])
		case "max-group-bytes":
			cfg.MaxGroupBytes, _ = strconv.Atoi(a.Vals[0])
		case "max-bytes":
			cfg.MaxBytes, _ = strconv.Atoi(a.Vals[0])
		case "max-record-bytes":
			cfg.MaxRecordBytes, _ = strconv.Atoi(a.Vals[0])
		case "max-consumers":
			cfg.MaxConsumers, _ = strconv.Atoi(a.Vals[0])
		case "migration":
			cfg.Migration = Migration(a.Vals[0])
		case "assignment-interval":
			interval := parseDuration(t, a.Vals[0])
			cfg.Consumer = func(string) ConsumerConfig {
				return ConsumerConfig{defaultConsumerSession, defaultConsumerHeartbeat, interval}
			}
		case "max-metadata":
			cfg.MaxOffsetMetadata, _ = strconv.Atoi(a.Vals[0])
		default:
			t.Fatalf("%s: no limit is called %q", d.Pos, a.Key)
		}
	}
	return cfg
}

func parseDuration(t *testing.T, s string) time.Duration {
	v, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *story) run() string {
	switch s.d.Cmd {
	case "join":
		s.join(s.label(), s.joinRequest())
	case "sync":
		s.sync(s.label(), s.syncRequest())
	case "heartbeat":
		return code(s.m.Heartbeat(s.now, &HeartbeatRequest{
			Group: s.str("group"), MemberID: s.str("member"), InstanceID: s.opt("instance"), Generation: s.num("generation", 1),
		})) + "\n"
	case "leave":
		return s.leave()
	case "commit":
		return s.commitOffsets()
	case "marker":
		s.end(entry.Marker{Producer: entry.Producer{ID: int64(s.num("producer", 0))}, Commit: s.flag("commit")})
	case "fetch":
		return s.fetch()
	case "describe":
		return s.describe()
	case "list":
		var out string
		for _, l := range s.m.List() {
			out += fmt.Sprintf("%s %q %v %v\n", l.Group, l.ProtocolType, l.State, l.Kind)
		}
		return out
	case "delete":
		res, err := s.m.Delete(s.now, s.str("group"))
		s.write(res)
		return code(err) + "\n"
	case "delete-offsets":
		return s.deleteOffsets()
	case "topics-deleted":
		var topics []Topic
		for _, a := range s.d.CmdArgs {
			topic := Topic{Name: a.Key}
			if len(a.Vals) > 0 {
				topic.ID = topicID(a.Vals[0])
			}
			topics = append(topics, topic)
		}
		s.write(s.m.TopicsDeleted(s.now, topics))
	case "advance":
		s.advance(parseDuration(s.t, s.d.CmdArgs[0].Key))
	case "reload":
		s.m = s.replay()
		s.waiting = map[Token]string{}
	case "topic":
		s.topics.create(s.label(), s.num("partitions", 1))
	case "drop-topic":
		s.topics.drop(s.label())
	case "beat":
		return s.beat()
	case "describe-consumer":
		return s.describeConsumer()
	case "check-fetch":
		return code(s.m.CheckFetch(s.str("group"), s.opt("member"), s.num("epoch", -1))) + "\n"
	case "dump":
		return durable(s.m, func(string) bool { return true })
	default:
		s.t.Fatalf("%s: no command is called %q", s.d.Pos, s.d.Cmd)
	}
	return ""
}

func (s *story) label() string { return s.d.CmdArgs[0].Key }

func (s *story) arg(key string) (datadriven.CmdArg, bool) {
	for _, a := range s.d.CmdArgs {
		if a.Key == key {
			return a, true
		}
	}
	return datadriven.CmdArg{}, false
}

func (s *story) flag(key string) bool { _, ok := s.arg(key); return ok }

func (s *story) str(key string) string {
	if p := s.opt(key); p != nil {
		return *p
	}
	return ""
}

func (s *story) opt(key string) *string {
	a, ok := s.arg(key)
	if !ok || len(a.Vals) == 0 {
		return nil
	}
	return &a.Vals[0]
}

func (s *story) num(key string, otherwise int32) int32 {
	p := s.opt(key)
	if p == nil {
		return otherwise
	}
	n, err := strconv.ParseInt(*p, 10, 32)
	if err != nil {
		s.t.Fatalf("%s: %v", s.d.Pos, err)
	}
	return int32(n)
}

func (s *story) duration(key string, otherwise time.Duration) time.Duration {
	if p := s.opt(key); p != nil {
		return parseDuration(s.t, *p)
	}
	return otherwise
}

func (s *story) list(key string) []string {
	a, _ := s.arg(key)
	return a.Vals
}

func (s *story) joinRequest() *JoinRequest {
	r := &JoinRequest{
		Group: s.str("group"), MemberID: s.str("member"), InstanceID: s.opt("instance"),
		ClientID: "c", ClientHost: "/host", ProtocolType: "consumer",
		SessionTimeout:   s.duration("session", 10*time.Second),
		RebalanceTimeout: s.duration("rebalance", time.Minute),
		RequireKnownID:   s.flag("known"), CanSkip: s.flag("skip"),
	}
	if p := s.opt("type"); p != nil {
		r.ProtocolType = *p
	}
	if s.flag("type") && s.opt("type") == nil {
		r.ProtocolType = ""
	}
	if !s.flag("protocols") {
		r.Protocols = []Protocol{{Name: "range", Metadata: []byte("any")}}
	}
	for _, v := range s.list("protocols") {
		name, metadata, _ := strings.Cut(v, ":")
		r.Protocols = append(r.Protocols, Protocol{Name: name, Metadata: storyMetadata(metadata)})
	}
	return r
}

// storyMetadata is a consumer's metadata for topics given as +a+b, with the partitions that it owns behind them as !a-0!b-1 (a
// ! alone is a consumer that owns nothing), or the bytes as they are.
func storyMetadata(s string) []byte {
	topics, ok := strings.CutPrefix(s, "+")
	if !ok {
		return []byte(s)
	}
	topics, owned, owns := strings.Cut(topics, "!")
	if owns {
		v := kmsg.ConsumerMemberMetadata{Version: 1, Topics: strings.Split(topics, "+")}
		for p := range strings.FieldsFuncSeq(owned, func(r rune) bool { return r == '!' }) {
			v.OwnedPartitions = append(v.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition(storyAssigned(p)))
		}
		return v.AppendTo(nil)
	}
	names := strings.Split(topics, "+")
	b := []byte{0, 0, 0, 0, 0, byte(len(names))}
	for _, n := range names {
		b = append(b, 0, byte(len(n)))
		b = append(b, n...)
	}
	return b
}

// storyAssigned reads topic-partition.
func storyAssigned(p string) kmsg.ConsumerMemberAssignmentTopic {
	i := strings.LastIndexByte(p, '-')
	n, err := strconv.Atoi(p[i+1:])
	if err != nil {
		panic(err)
	}
	return kmsg.ConsumerMemberAssignmentTopic{Topic: p[:i], Partitions: []int32{int32(n)}}
}

// storyAssignment is an assignment of the partitions given as =a-0=a-1, with a user's data if it ends in a question mark, or the bytes
// as they are.
func storyAssignment(s string) []byte {
	partitions, ok := strings.CutPrefix(s, "=")
	if !ok {
		return []byte(s)
	}
	var v kmsg.ConsumerMemberAssignment
	partitions, data := strings.CutSuffix(partitions, "?")
	if data {
		v.UserData = []byte("data")
	}
	for p := range strings.SplitSeq(partitions, "=") {
		v.Topics = append(v.Topics, storyAssigned(p))
	}
	return v.AppendTo(nil)
}

func (s *story) syncRequest() *SyncRequest {
	r := &SyncRequest{
		Group: s.str("group"), MemberID: s.str("member"), InstanceID: s.opt("instance"), Generation: s.num("generation", 1),
		ProtocolType: s.opt("type"), Protocol: s.opt("protocol"),
	}
	for _, v := range s.list("assign") {
		id, data, _ := strings.Cut(v, ":")
		r.Assignments = append(r.Assignments, Assignment{MemberID: id, Data: storyAssignment(data)})
	}
	return r
}

func (s *story) leave() string {
	var leavers []LeaveMember
	for _, a := range s.d.CmdArgs {
		if a.Key == "group" {
			continue
		}
		id, instance, static := strings.Cut(a.Key, "/")
		l := LeaveMember{MemberID: id}
		if static {
			l.InstanceID = &instance
		}
		leavers = append(leavers, l)
	}
	res, err := s.m.Leave(s.now, s.str("group"), leavers)
	s.write(res)
	if err != nil {
		return code(err) + "\n"
	}
	var out string
	for _, l := range leavers {
		out += fmt.Sprintf("%s/%s: %s\n", l.MemberID, show(l.InstanceID), code(l.Err))
	}
	return out
}

func (s *story) partition(v string) Partition {
	i := strings.LastIndexByte(v, '-')
	n, err := strconv.Atoi(v[i+1:])
	if err != nil {
		s.t.Fatalf("%s: %v", s.d.Pos, err)
	}
	return Partition{v[:i], int32(n)}
}

func topicID(s string) (id [16]byte) { copy(id[:], s); return id }

func (s *story) commitOffsets() string {
	r := &CommitRequest{
		Group: s.str("group"), MemberID: s.str("member"), InstanceID: s.opt("instance"), Generation: s.num("generation", -1),
		KnowsEpochs: !s.flag("v8"), Producer: entry.NoProducer(), Retention: s.duration("retention", 0),
	}
	if s.flag("producer") {
		r.Producer = entry.Producer{ID: int64(s.num("producer", 0))}
	}
	for _, v := range s.list("offsets") {
		parts := append(strings.Split(v, ":"), "")
		at, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			s.t.Fatalf("%s: %v", s.d.Pos, err)
		}
		p := s.partition(parts[0])
		id := topicID(s.str("topic-id"))
		if t, ok := s.topics.Topic(p.Topic); ok {
			id = t.ID
		}
		r.Offsets = append(r.Offsets, CommitOffset{Topic: p.Topic, TopicID: id, Partition: p.Partition, Offset: at, LeaderEpoch: -1, Metadata: parts[2]})
	}
	if err := s.commit(r); err != nil {
		return code(err) + "\n"
	}
	var out []string
	for _, o := range r.Offsets {
		out = append(out, code(o.Err))
	}
	return strings.Join(out, " ") + "\n"
}

func (s *story) fetch() string {
	var found []FetchedOffset
	if s.flag("offsets") {
		var asked []Partition
		for _, v := range s.list("offsets") {
			asked = append(asked, s.partition(v))
		}
		found = s.m.Fetch(s.str("group"), asked, s.flag("stable"))
	} else {
		found = s.m.FetchAll(s.str("group"), s.flag("stable"))
	}
	var out string
	for _, f := range found {
		out += fmt.Sprintf("%s-%d: %d %q %s\n", f.Topic, f.Partition.Partition, f.Offset, f.Metadata, code(f.Err))
	}
	return out
}

func (s *story) describe() string {
	d := s.m.Describe(s.str("group"))
	if d.Err != nil {
		return fmt.Sprintf("%s %v\n", code(d.Err), d.State)
	}
	out := fmt.Sprintf("%v type=%q protocol=%q\n", d.State, d.ProtocolType, d.Protocol)
	for _, mb := range d.Members {
		out += fmt.Sprintf("  %s/%s %s@%s %q -> %q\n", mb.ID, show(mb.InstanceID), mb.ClientID, mb.ClientHost, mb.Metadata, mb.Assignment)
	}
	return out
}

func (s *story) deleteOffsets() string {
	var asked []Partition
	for _, v := range s.list("offsets") {
		asked = append(asked, s.partition(v))
	}
	res, errs, err := s.m.DeleteOffsets(s.now, s.str("group"), asked)
	s.write(res)
	if err != nil {
		return code(err) + "\n"
	}
	out := slices.Collect(func(yield func(string) bool) {
		for _, e := range errs {
			yield(code(e))
		}
	})
	return strings.Join(out, " ") + "\n"
}
