package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryDefaultParsesAndIsDocumented(t *testing.T) {
	for kind, defs := range map[string][]Def{"topic": TopicDefs(), "broker": BrokerDefs(), "group": GroupDefs()} {
		for i := range defs {
			d := &defs[i]
			if d.Doc == "" {
				t.Errorf("%s config %s says nothing about itself", kind, d.Name)
			}
			if !d.NoDefault {
				if _, err := d.Parse(d.Default); err != nil {
					t.Errorf("the default of %s config %s: %v", kind, d.Name, err)
				}
			}
			if d.Broker != "" && BrokerDef(d.Broker) == nil {
				t.Errorf("%s config %s takes its default from %s, which is no broker setting", kind, d.Name, d.Broker)
			}
		}
	}
}

func TestATopicsDefaultIsThatOfItsBrokerSetting(t *testing.T) {
	for i := range TopicDefs() {
		d := &TopicDefs()[i]
		if d.Broker == "" {
			continue
		}
		if b := BrokerDef(d.Broker); !b.NoDefault && b.Default != d.Default {
			t.Errorf("%s is %s by default, %s is %s", d.Name, d.Default, b.Name, b.Default)
		}
	}
}

func TestFaultsAreToldInKafkasWords(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"retention.ms", "soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG"},
		{"cleanup.policy", "shred", "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete"},
		{"min.insync.replicas", "0", "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"},
		{"segment.bytes", "99999999999", "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT"},
		{"preallocate", "maybe", "Invalid value maybe for configuration preallocate: Expected value to be either true or false"},
		{"min.cleanable.dirty.ratio", "1.5", "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{"remote.storage.enable", "true", "Invalid value true for configuration remote.storage.enable: tiered storage is not available on this broker"},
		{"no.such", "1", "Unknown topic config name: no.such"},
	} {
		err := CheckTopic(map[string]string{c.name: c.value})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
	if err := CheckTopic(map[string]string{"cleanup.policy": "compact, delete", "retention.ms": "-1"}); err != nil {
		t.Error(err)
	}
}

func TestTheNearestLayerWins(t *testing.T) {
	b, err := NewBroker(map[string]string{"log.retention.hours": "2", "message.max.bytes": "1000"})
	if err != nil {
		t.Fatal(err)
	}
	topic := func(b *Broker, overrides map[string]string) *Topic { return EffectiveTopic(b, overrides) }
	if got := topic(b, nil).Retention; got != 2*time.Hour {
		t.Errorf("retention %v from log.retention.hours=2", got)
	}
	if got := topic(b, map[string]string{"retention.ms": "5"}).Retention; got != 5*time.Millisecond {
		t.Errorf("retention %v with the topic's own 5 ms", got)
	}
	all := b.WithDynamic(nil, map[string]string{"log.retention.ms": "7", "message.max.bytes": "2000"})
	if got := topic(all, nil); got.Retention != 7*time.Millisecond || got.MaxMessageBytes != 2000 {
		t.Errorf("retention %v and max.message.bytes %d after a change for all brokers", got.Retention, got.MaxMessageBytes)
	}
	own := b.WithDynamic(map[string]string{"message.max.bytes": "3000"}, map[string]string{"message.max.bytes": "2000"})
	layers := own.TopicLayers(map[string]string{"max.message.bytes": "4000"}, "max.message.bytes")
	want := []Layer{
		{"max.message.bytes", "4000", SourceTopic}, {"message.max.bytes", "3000", SourceDynamicBroker},
		{"message.max.bytes", "2000", SourceDynamicDefault}, {"message.max.bytes", "1000", SourceStatic}, {"message.max.bytes", "1048588", SourceDefault},
	}
	if len(layers) != len(want) {
		t.Fatalf("layers %v, want %v", layers, want)
	}
	for i := range want {
		if layers[i] != want[i] {
			t.Errorf("layer %d is %v, want %v", i, layers[i], want[i])
		}
	}
}

func TestCoarserSpellingsOfATimeFollowTheFiner(t *testing.T) {
	b, err := NewBroker(map[string]string{"log.retention.hours": "2"})
	if err != nil {
		t.Fatal(err)
	}
	set := b.WithDynamic(nil, map[string]string{"log.retention.ms": "7"})
	const ms, hours = "log.retention.ms", "log.retention.hours"
	for _, c := range []struct {
		name string
		got  []Layer
		want []Layer
	}{
		{"hours alone are no layer of milliseconds", b.Layers(ms), nil},
		{"nor of the topic's config", b.TopicLayers(nil, "retention.ms"), nil},
		{"hours", b.Layers(hours), []Layer{{hours, "2", SourceStatic}, {hours, "168", SourceDefault}}},
		{"milliseconds", set.Layers(ms), []Layer{{ms, "7", SourceDynamicDefault}, {hours, "2", SourceStatic}, {hours, "168", SourceDefault}}},
		{"minutes that nobody set", set.Layers("log.retention.minutes"), nil},
		{"a config that no setting stands behind", b.TopicLayers(nil, "remote.storage.enable"), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: layers %v, want %v", c.name, c.got, c.want)
		}
	}
	if got := Winner(nil); got != SourceDefault {
		t.Errorf("what nobody says is of source %d", got)
	}
}

func TestAllFaultsOfABrokerAreNamed(t *testing.T) {
	_, err := NewBroker(map[string]string{"num.partitions": "0", "nope": "1", "max.connections": "5"})
	if err == nil || !strings.Contains(err.Error(), "num.partitions") || !strings.Contains(err.Error(), "nope") {
		t.Fatalf("%v", err)
	}
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Name != "num.partitions" {
		t.Errorf("the fault of num.partitions is no InvalidError: %v", err)
	}
}

func TestTheLongestTimeIsNoOverflow(t *testing.T) {
	b, err := NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := EffectiveTopic(b, map[string]string{"segment.ms": "9223372036854775807"}).SegmentAge; got <= 0 {
		t.Errorf("segment.ms at its largest became %v", got)
	}
}

// TestAListNamesEachOfItsElementsOnce where it knows them; any other list is what somebody wrote.
func TestAListNamesEachOfItsElementsOnce(t *testing.T) {
	policy, err := TopicDef("cleanup.policy").Parse(" compact, delete ,compact")
	if err != nil || policy.String() != "compact,delete" {
		t.Errorf("the policy is %q, %v", policy, err)
	}
	dirs, err := BrokerDef("log.dirs").Parse("a, b,a")
	if err != nil || dirs.String() != "a,b,a" {
		t.Errorf("the directories are %q, %v", dirs, err)
	}
}
