package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// UnknownError names a setting that the catalogue does not hold.
type UnknownError struct{ Kind, Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("Unknown %s config name: %s", e.Kind, e.Name)
}

// Source says where an effective value comes from, with the numbers that DescribeConfigs answers.
type Source int8

// The sources of a value, from DescribeConfigs.
const (
	SourceTopic          Source = 1
	SourceDynamicBroker  Source = 2
	SourceDynamicDefault Source = 3
	SourceStatic         Source = 4
	SourceDefault        Source = 5
	SourceGroup          Source = 8
)

// Layer is one origin of values with what it says of one name.
type Layer struct {
	Name   string
	Value  string
	Source Source
}

// Winner is the source of the value that counts: the first layer's, and the default where nobody says anything.
func Winner(layers []Layer) Source {
	if len(layers) == 0 {
		return SourceDefault
	}
	return layers[0].Source
}

// Broker is the configuration of a broker at one moment: what it was started with, and what was changed since. It is immutable.
type Broker struct {
	static         map[string]string
	dynamic        map[string]string // for this broker alone
	dynamicDefault map[string]string // for all brokers
	effective      map[string]Value
}

// NewBroker checks and parses settings as a user wrote them. The error names every setting that does not do.
func NewBroker(set map[string]string) (*Broker, error) {
	b := &Broker{static: maps.Clone(set)}
	if b.static == nil {
		b.static = map[string]string{}
	}
	var faults []error
	for _, name := range sortedKeys(set) {
		d := brokerDefs.byName[name]
		if d == nil {
			faults = append(faults, fmt.Errorf("%s is not a setting of this broker", name))
			continue
		}
		if _, err := d.Parse(set[name]); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	b.compute()
	return b, nil
}

// WithDynamic returns b with other run-time changes. Values that do not parse are ignored: they were checked when they were set.
func (b *Broker) WithDynamic(own, all map[string]string) *Broker {
	n := &Broker{static: b.static, dynamic: maps.Clone(own), dynamicDefault: maps.Clone(all)}
	n.compute()
	return n
}

func (b *Broker) compute() {
	b.effective = make(map[string]Value, len(brokerDefs.defs))
	for i := range brokerDefs.defs {
		d := &brokerDefs.defs[i]
		b.effective[d.Name] = d.defaultValue()
		for _, layer := range []map[string]string{b.static, b.dynamicDefault, b.dynamic} {
			if s, ok := layer[d.Name]; ok {
				if v, err := d.Parse(s); err == nil {
					b.effective[d.Name] = v
				}
			}
		}
	}
}

// Layers returns what each origin says about a broker setting, the winner first; the default is last, and none when it is null. A coarser spelling of a time follows the
// finer one in each origin, as Apache Kafka lists it, and what comes before the setting itself is left out: log.retention.hours alone is no layer of log.retention.ms.
func (b *Broker) Layers(name string) []Layer {
	brokerDefs.mustDef(name)
	family := spellings(name)
	var out []Layer
	add := func(s Source, value func(name string) (string, bool)) {
		for _, n := range family {
			if v, ok := value(n); ok && (len(out) > 0 || n == name) {
				out = append(out, Layer{n, v, s})
			}
		}
	}
	in := func(m map[string]string) func(string) (string, bool) {
		return func(n string) (string, bool) { v, ok := m[n]; return v, ok }
	}
	add(SourceDynamicBroker, in(b.dynamic))
	add(SourceDynamicDefault, in(b.dynamicDefault))
	add(SourceStatic, in(b.static))
	add(SourceDefault, func(n string) (string, bool) { d := brokerDefs.mustDef(n); return d.Default, !d.NoDefault })
	return out
}

// spellings are the names of a time in milliseconds, minutes and hours, the finest first; of any other setting its name.
func spellings(name string) []string {
	for finest, aliases := range timeAliases {
		names := []string{finest}
		for _, a := range aliases {
			names = append(names, a.name)
		}
		if slices.Contains(names, name) {
			return names
		}
	}
	return []string{name}
}

// TopicLayers returns what each origin says about a topic config, the winner first. There is none when the topic says nothing and no setting of the broker has a say.
func (b *Broker) TopicLayers(overrides map[string]string, name string) []Layer {
	d := topicDefs.mustDef(name)
	var out []Layer
	if v, ok := overrides[name]; ok {
		out = append(out, Layer{name, v, SourceTopic})
	}
	if d.Broker != "" {
		out = append(out, b.Layers(d.Broker)...)
	}
	return out
}

// timeAlias is a coarser spelling of a setting in milliseconds.
type timeAlias struct {
	name string
	unit time.Duration
}

// timeAliases are the settings that Kafka also knows in minutes or hours, the finer first. The key, in milliseconds, wins when set.
var timeAliases = map[string][]timeAlias{
	"log.retention.ms":   {{"log.retention.minutes", time.Minute}, {"log.retention.hours", time.Hour}},
	"log.roll.ms":        {{"log.roll.hours", time.Hour}},
	"log.roll.jitter.ms": {{"log.roll.jitter.hours", time.Hour}},
}

// topicDefault returns the broker's value for a topic config.
func (b *Broker) topicDefault(d *Def) Value {
	set := func(name string) bool {
		_, s := b.static[name]
		_, a := b.dynamicDefault[name]
		_, o := b.dynamic[name]
		return s || a || o
	}
	if set(d.Broker) {
		return b.effective[d.Broker]
	}
	for _, alias := range timeAliases[d.Broker] {
		if set(alias.name) {
			n := b.effective[alias.name].num
			if n > 0 {
				n *= alias.unit.Milliseconds()
			}
			return Value{raw: strconv.FormatInt(n, 10), num: n}
		}
	}
	return d.defaultValue()
}

// Int returns a number.
func (b *Broker) Int(name string) int64 { return b.get(name).num }

// Bool returns a truth value.
func (b *Broker) Bool(name string) bool { return b.get(name).num != 0 }

// String returns the value as text; "" when it is null.
func (b *Broker) String(name string) string { return b.get(name).raw }

// List returns the elements of a list. Do not change them.
func (b *Broker) List(name string) []string { return b.get(name).list }

// Duration returns a setting whose name ends in .ms, .minutes or .hours.
func (b *Broker) Duration(name string) time.Duration {
	n := b.get(name).num
	switch {
	case hasSuffix(name, ".minutes"):
		return time.Duration(n) * time.Minute
	case hasSuffix(name, ".hours"):
		return time.Duration(n) * time.Hour
	}
	return millis(n)
}

func (b *Broker) get(name string) Value {
	brokerDefs.mustDef(name)
	return b.effective[name]
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

// BrokerDefs returns the definitions of broker settings in order of name. Do not change them.
func BrokerDefs() []Def { return brokerDefs.defs }

// BrokerDef returns the definition of one broker setting, or nil.
func BrokerDef(name string) *Def { return brokerDefs.byName[name] }

func (c *catalogue) mustDef(name string) *Def {
	d := c.byName[name]
	if d == nil {
		panic("settings: no definition of " + name)
	}
	return d
}

func (d *Def) defaultValue() Value {
	if d.NoDefault {
		return Value{}
	}
	v, err := d.Parse(d.Default)
	if err != nil {
		panic("settings: the default of " + d.Name + " does not parse: " + err.Error())
	}
	return v
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
