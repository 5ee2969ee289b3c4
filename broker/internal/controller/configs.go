package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/settings"
)

// ConfigOp says what happens to one config, with the numbers of IncrementalAlterConfigs.
type ConfigOp int8

// The operations of IncrementalAlterConfigs.
const (
	OpSet      ConfigOp = 0
	OpDelete   ConfigOp = 1
	OpAppend   ConfigOp = 2
	OpSubtract ConfigOp = 3
)

// Alteration is one change of one config.
type Alteration struct {
	Name  string
	Op    ConfigOp
	Value *string
}

// ResourceChange asks for changes of a resource's configs.
type ResourceChange struct {
	Resource Resource
	Changes  []Alteration
}

// ChangedResource is the answer to a ResourceChange.
type ChangedResource struct {
	Resource Resource
	Err      error
}

// AlterConfigs decides about each resource on its own. With replace the changes are the whole new set (the old AlterConfigs), else they are
// applied to what is there.
func AlterConfigs(im *Image, env Env, changes []ResourceChange, replace bool) ([]Record, []ChangedResource) {
	var records []Record
	out := make([]ChangedResource, 0, len(changes))
	named := map[Resource]int{}
	for _, c := range changes {
		named[c.Resource]++
	}
	for _, c := range changes {
		if named[c.Resource] > 1 {
			out = append(out, ChangedResource{c.Resource, fault(kerr.InvalidRequest, "Each resource must appear at most once.")})
			continue
		}
		rec, err := decideConfigs(im, env, c, replace)
		if err == nil {
			records = append(records, rec)
		}
		out = append(out, ChangedResource{c.Resource, err})
	}
	return records, out
}

func decideConfigs(im *Image, env Env, c ResourceChange, replace bool) (*ConfigsSet, error) {
	if err := checkChange(im, c); err != nil {
		return nil, err
	}
	next := maps.Clone(im.Configs(c.Resource))
	if replace || next == nil {
		next = map[string]string{}
	}
	for _, a := range c.Changes {
		if err := alter(im, env, c.Resource, next, a); err != nil {
			return nil, err
		}
	}
	if err := checkConfigs(c.Resource.Type, next); err != nil {
		return nil, err
	}
	if c.Resource.Type == ResourceTopic && im.topics[c.Resource.Name] == nil { // Kafka looks at the values before it looks for the topic
		return nil, fault(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", c.Resource.Name)
	}
	if c.Resource.Type == ResourceGroup {
		if err := settings.CheckGroup(env.Settings, next); err != nil {
			return nil, &Fault{kerr.InvalidConfig, err.Error()}
		}
	}
	return &ConfigsSet{c.Resource, next}, nil
}

func checkChange(im *Image, c ResourceChange) error {
	seen := map[string]bool{}
	for _, a := range c.Changes {
		if seen[a.Name] {
			return fault(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[a.Name] = true
		if a.Value == nil && a.Op != OpDelete {
			return fault(kerr.InvalidRequest, "Null value not supported for : %s", a.Name)
		}
	}
	switch c.Resource.Type {
	case ResourceTopic:
		if c.Resource.Name == "" {
			return fault(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
		if err := CheckTopicName(c.Resource.Name); err != nil {
			return err
		}
	case ResourceBroker:
		if c.Resource.Name == "" {
			break
		}
		id, err := strconv.ParseInt(c.Resource.Name, 10, 32)
		if err != nil {
			return fault(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", c.Resource.Name)
		}
		if im.brokers[int32(id)] == nil {
			return fault(kerr.InvalidRequest, "No broker with id %d found.", id)
		}
	case ResourceGroup:
		if c.Resource.Name == "" {
			return fault(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
	default:
		return fault(kerr.InvalidRequest, "Unknown resource type %d", c.Resource.Type)
	}
	return nil
}

func alter(im *Image, env Env, r Resource, next map[string]string, a Alteration) error {
	d := definition(r.Type, a.Name)
	switch a.Op {
	case OpSet:
		next[a.Name] = *a.Value
	case OpDelete:
		delete(next, a.Name)
	case OpAppend, OpSubtract:
		if d == nil {
			return unknownConfig(r.Type, a.Name)
		}
		if d.Type != settings.List {
			verb := "APPEND"
			if a.Op == OpSubtract {
				verb = "SUBTRACT"
			}
			return fault(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", verb, a.Name)
		}
		now, ok := next[a.Name]
		if !ok {
			now = inherited(im, env, r, a.Name)
		}
		next[a.Name] = editList(now, *a.Value, a.Op)
	default:
		return fault(kerr.InvalidRequest, "Unknown operation %d on the config %s", a.Op, a.Name)
	}
	return nil
}

// inherited is the value that a list operation starts from when the resource itself sets none.
func inherited(im *Image, env Env, r Resource, name string) string {
	switch r.Type {
	case ResourceTopic:
		return settings.TopicValue(env.Settings, nil, name).String()
	case ResourceBroker:
		return env.Settings.String(name)
	}
	return ""
}

func editList(now, value string, op ConfigOp) string {
	var list []string
	if now != "" {
		list = strings.Split(now, ",")
	}
	for e := range strings.SplitSeq(value, ",") {
		i := slices.Index(list, e)
		switch {
		case op == OpAppend && i < 0:
			list = append(list, e)
		case op == OpSubtract && i >= 0:
			list = slices.Delete(list, i, i+1)
		}
	}
	return strings.Join(list, ",")
}

func definition(t ResourceType, name string) *settings.Def {
	switch t {
	case ResourceTopic:
		return settings.TopicDef(name)
	case ResourceBroker:
		return settings.BrokerDef(name)
	case ResourceGroup:
		return settings.GroupDef(name)
	}
	return nil
}

func unknownConfig(t ResourceType, name string) error {
	kind := map[ResourceType]string{ResourceTopic: "topic", ResourceBroker: "broker", ResourceGroup: "group"}[t]
	return &Fault{kerr.InvalidConfig, (&settings.UnknownError{Kind: kind, Name: name}).Error()}
}

// invalidValue is Kafka's error for a value that does not do.
func invalidValue(t ResourceType) *kerr.Error {
	if t == ResourceBroker {
		return kerr.InvalidRequest
	}
	return kerr.InvalidConfig
}

func checkConfigs(t ResourceType, configs map[string]string) error {
	var fixed []string
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		d := definition(t, name)
		if d == nil {
			return unknownConfig(t, name)
		}
		if t == ResourceBroker && d.Update == settings.ReadOnly {
			fixed = append(fixed, name)
			continue
		}
		if _, err := d.Parse(configs[name]); err != nil {
			return &Fault{invalidValue(t), err.Error()}
		}
	}
	if t == ResourceTopic {
		if err := settings.CheckTopicTogether(configs); err != nil {
			return &Fault{kerr.InvalidConfig, err.Error()}
		}
	}
	if fixed != nil {
		return fault(kerr.InvalidRequest, "Cannot update these configs dynamically: [%s]", strings.Join(fixed, ", "))
	}
	return nil
}
