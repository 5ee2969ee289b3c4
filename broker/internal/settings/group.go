package settings

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
