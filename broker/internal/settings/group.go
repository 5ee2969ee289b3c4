package settings

import "errors"

// groupDefs are the configs that a consumer group can have of its own.
var groupDefs = newCatalogue([]Def{
	intDef("consumer.session.timeout.ms", "45000", 1, maxInt32, "Session time-out of the group's members.").from("group.consumer.session.timeout.ms"),
	intDef("consumer.assignment.interval.ms", "1000", 0, maxInt32, "Time between two assignments of the group.").from("group.consumer.assignment.interval.ms"),
	intDef("consumer.heartbeat.interval.ms", "5000", 1, maxInt32, "Heartbeat interval of the group's members.").from("group.consumer.heartbeat.interval.ms"),
})

// GroupDefs returns the definitions of group configs in order of name. Do not change them.
func GroupDefs() []Def { return groupDefs.defs }

// GroupDef returns the definition of one group config, or nil.
func GroupDef(name string) *Def { return groupDefs.byName[name] }

// CheckGroup holds the configs of a group, each of which parses, against the broker's bounds and against each other.
func CheckGroup(b *Broker, overrides map[string]string) error {
	value := func(name string) int64 {
		if s, ok := overrides[name]; ok {
			if v, err := GroupDef(name).Parse(s); err == nil {
				return v.Int()
			}
		}
		return b.Int("group." + name)
	}
	for _, what := range []string{"heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"} {
		name := "consumer." + what
		switch v := value(name); {
		case v < b.Int("group.consumer.min."+what):
			return errors.New(name + " must be greater than or equal to group.consumer.min." + what)
		case v > b.Int("group.consumer.max."+what):
			return errors.New(name + " must be less than or equal to group.consumer.max." + what)
		}
	}
	if value("consumer.session.timeout.ms") <= value("consumer.heartbeat.interval.ms") {
		return errors.New("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
	}
	return nil
}
