package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// handleDescribeConfigs tells the effective configs of resources, and where each value comes from.
func handleDescribeConfigs(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeConfigsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	d := describer{n: n, im: n.Image(), broker: n.Settings(), synonyms: req.IncludeSynonyms, docs: req.IncludeDocumentation}
	resources := seen[controller.Resource]{}
	for _, asked := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		var configs []kmsg.DescribeConfigsResponseResourceConfig
		err := error(&Fault{Kafka: kerr.InvalidRequest, Message: "A resource is named too often"})
		if resources.few(controller.Resource{Type: controller.ResourceType(asked.ResourceType), Name: asked.ResourceName}) {
			configs, err = d.describe(asked)
		}
		out.ErrorCode, out.ErrorMessage = Code(err), MessageOf(err)
		if out.ErrorMessage == nil {
			empty := ""
			out.ErrorMessage = &empty
		}
		out.Configs = configs
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

type describer struct {
	n              *Node
	im             *controller.Image
	broker         *settings.Broker
	synonyms, docs bool
}

func (d *describer) describe(asked kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	wanted := func(name string) bool { return len(asked.ConfigNames) == 0 || slices.Contains(asked.ConfigNames, name) }
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		return d.topic(asked.ResourceName, wanted)
	case kmsg.ConfigResourceTypeBroker:
		return d.brokers(asked.ResourceName, wanted)
	case kmsg.ConfigResourceTypeBrokerLogger:
		if _, err := d.brokerID(asked.ResourceName); err != nil {
			return nil, err
		}
		return nil, nil // there are no loggers with levels of their own
	case kmsg.ConfigResourceType(controller.ResourceGroup):
		return d.group(asked.ResourceName, wanted)
	}
	return nil, &Fault{Kafka: kerr.InvalidRequest, Message: fmt.Sprintf("Unsupported resource type: %d", asked.ResourceType)}
}

func (d *describer) topic(name string, wanted func(string) bool) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if err := controller.CheckTopicName(name); err != nil {
		return nil, err
	}
	topic := d.im.Topic(name)
	if topic == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range settings.TopicDefs() {
		def := &settings.TopicDefs()[i]
		layers := d.broker.TopicLayers(topic.Configs, def.Name)
		if !wanted(def.Name) || len(layers) == 0 && def.NoDefault {
			continue
		}
		value := settings.TopicValue(d.broker, topic.Configs, def.Name).String()
		out = append(out, d.config(def, &value, layers, false))
	}
	// What is inherited goes before what the topic sets itself, so that a list read from a terminal ends with the changes.
	slices.SortStableFunc(out, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return int(b.Source) - int(a.Source) })
	return out, nil
}

func (d *describer) brokerID(name string) (int32, error) {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, &Fault{Kafka: kerr.InvalidRequest, Message: "Broker id must be an integer, but it is: " + name}
	}
	if int32(id) != d.n.ID {
		return 0, &Fault{Kafka: kerr.InvalidRequest, Message: fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", d.n.ID, name)}
	}
	return int32(id), nil
}

// brokers describes this broker, or with the empty name what is set for all brokers.
func (d *describer) brokers(name string, wanted func(string) bool) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if name != "" {
		if _, err := d.brokerID(name); err != nil {
			return nil, err
		}
	}
	shared := d.im.Configs(controller.Resource{Type: controller.ResourceBroker})
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range settings.BrokerDefs() {
		def := &settings.BrokerDefs()[i]
		if !wanted(def.Name) {
			continue
		}
		if name == "" {
			value, ok := shared[def.Name]
			if !ok {
				continue
			}
			layers := []settings.Layer{{Name: def.Name, Value: value, Source: settings.SourceDynamicDefault}}
			out = append(out, d.config(def, &value, layers, false))
			continue
		}
		value, layers := d.ofBroker(def.Name)
		out = append(out, d.config(def, value, layers, def.Update == settings.ReadOnly))
	}
	return out, nil
}

// ofBroker returns the value of one of this broker's settings, nil when it is null, and what each origin says. Where the broker listens is no setting of ours, but told
// by the program that serves it.
func (d *describer) ofBroker(name string) (*string, []settings.Layer) {
	if name == "listeners" {
		value := strings.Join(d.n.Listeners(), ",")
		return &value, []settings.Layer{{Name: name, Value: value, Source: settings.SourceStatic}}
	}
	layers := d.broker.Layers(name)
	if v := d.broker.String(name); v != "" || len(layers) > 0 {
		return &v, layers
	}
	return nil, layers
}

func (d *describer) group(name string, wanted func(string) bool) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if name == "" {
		return nil, &Fault{Kafka: kerr.InvalidRequest, Message: "Group name must not be empty"}
	}
	own := d.im.Configs(controller.Resource{Type: controller.ResourceGroup, Name: name})
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range settings.GroupDefs() {
		def := &settings.GroupDefs()[i]
		if !wanted(def.Name) {
			continue
		}
		var layers []settings.Layer
		value, ok := own[def.Name]
		if ok {
			layers = append(layers, settings.Layer{Name: def.Name, Value: value, Source: settings.SourceGroup})
		} else {
			value = d.broker.String(def.Broker)
		}
		layers = append(layers, d.broker.Layers(def.Broker)...)
		out = append(out, d.config(def, &value, layers, false))
	}
	return out, nil
}

func (d *describer) config(def *settings.Def, value *string, layers []settings.Layer, readOnly bool) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.ConfigType = def.Name, value, readOnly, kmsg.ConfigType(def.Type)
	c.Source = kmsg.ConfigSource(settings.Winner(layers))
	c.IsDefault = c.Source == kmsg.ConfigSource(settings.SourceDefault)
	if d.synonyms {
		for _, l := range layers {
			if v, err := def.Parse(l.Value); err == nil && l.Name == def.Name {
				l.Value = v.String() // as it is read, not as it was written
			}
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = l.Name, &l.Value, kmsg.ConfigSource(l.Source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
	}
	if d.docs {
		c.Documentation = &def.Doc
	}
	return c
}
