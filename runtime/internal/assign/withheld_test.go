package assign

import (
	"testing"

	"github.com/millrace-io/millrace/internal/topology"
)

// A member must be able to tell that it has to join again: when it is killed before it has, its successor gets the same bytes without a rebalance.
func TestMemberLearnsThatTasksAreWithheldFromIt(t *testing.T) {
	var tasks []topology.TaskID
	for p := range int32(4) {
		tasks = append(tasks, topology.TaskID{Partition: p})
	}
	claim := func(id string, owned ...topology.TaskID) Member {
		return Member{ID: id, Claim: Claim{Process: id, TransactionalID: "app-" + id, Fingerprint: "f", Generation: 1, Owned: owned}}
	}
	grants := Assign([]Member{claim("old", tasks...), claim("new")}, tasks, "f", 2)
	if g := grants["old"]; !g.Withheld || len(g.Tasks) != 2 {
		t.Errorf("the owner of all is granted %v, withheld %v; want two, and to know of the others", g.Tasks, g.Withheld)
	}
	if g := grants["new"]; g.Withheld || len(g.Tasks) != 0 {
		t.Errorf("the new member is granted %v, withheld %v; want nothing yet", g.Tasks, g.Withheld)
	}
	for id, g := range grants {
		back, err := ParseGrant(g.Append(nil))
		if err != nil || back.Withheld != g.Withheld {
			t.Errorf("%s: withheld %v comes back as %v, %v", id, g.Withheld, back.Withheld, err)
		}
	}
	grants = Assign([]Member{claim("old", grants["old"].Tasks...), claim("new")}, tasks, "f", 3)
	for id, g := range grants {
		if g.Withheld || len(g.Tasks) != 2 {
			t.Errorf("%s is granted %v, withheld %v; want two tasks", id, g.Tasks, g.Withheld)
		}
	}
}
