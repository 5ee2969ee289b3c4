package runtime

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

func TestEveryInstanceKnowsWhereAKeyIs(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 8)
	c.createTopic(w.counts.Name(), 1)
	lines, want := text(seeded(t), 300, 40)
	c.produce(w.lines.Name(), 8, lines)

	apps := map[string]*instance{}
	for _, address := range []string{"one:80", "two:80", "three:80"} {
		apps[address] = c.start(w.topo, Config{Workers: 1, Advertise: address})
	}
	settled := func(Progress) bool {
		tasks := 0
		for _, i := range apps {
			p := i.app.Progress()
			tasks += len(p.Tasks)
			if !p.Done() || len(p.Tasks) < 5 { // 16 tasks of three
				return false
			}
		}
		return tasks == 16
	}
	apps["one:80"].await(t, "three instances with five tasks each", soon, settled)

	for word, n := range want {
		homes := 0
		for address, i := range apps {
			at, err := Locate(i.app, w.store, word)
			if err != nil {
				t.Fatal(err)
			}
			if at.Here != (at.Address == address) || apps[at.Address] == nil {
				t.Fatalf("%s says that %s is at %+v", address, word, at)
			}
			if !at.Here {
				continue
			}
			homes++
			view, err := Query(i.app, w.store)
			if err != nil {
				t.Fatal(err)
			}
			if have, _, err := view.Get(word); have != n || err != nil {
				t.Errorf("%s has %d of %s, %v; want %d", address, have, word, err, n)
			}
		}
		if homes != 1 {
			t.Errorf("%s is at home in %d instances", word, homes)
		}
	}
	all, err := apps["one:80"].app.Locations(w.store)
	if err != nil || len(all) != 8 || all[7].Partition != 7 {
		t.Errorf("locations %+v, %v; want 8", all, err)
	}
	if _, err := Locate(apps["one:80"].app, statestore.KeyValue("no-such", serde.String, serde.Int64), "x"); err == nil || !strings.Contains(err.Error(), `no store "no-such"`) {
		t.Errorf("an unknown store: %v", err)
	}
}

// A static member that comes back within its session is not assigned anew: it sees to it that the others learn its new address all the same.
func TestAnInstanceThatComesBackElsewhereIsFound(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 1)
	dir := t.TempDir()
	other := c.start(w.topo, Config{Workers: 1, Advertise: "other:80"})
	for round := range 2 {
		address := fmt.Sprintf("moved-%d:80", round)
		i := c.start(w.topo, Config{Workers: 1, StateDir: dir, Advertise: address, SessionTimeout: soon})
		other.await(t, "both to know each other at "+address, soon, func(Progress) bool {
			return knows(other.app, w.store, address) && knows(i.app, w.store, address) && knows(i.app, w.store, "other:80")
		})
		if round == 0 {
			i.crash()
			<-i.done
		}
	}
}

// knows reports whether an instance knows that one with the address has partitions of the store.
func knows(a *App, spec statestore.Spec, address string) bool {
	all, err := a.Locations(spec)
	if err != nil {
		return false
	}
	for _, at := range all {
		if at.Address == address {
			return true
		}
	}
	return false
}

func TestLocationsBeforeRunSayWhy(t *testing.T) {
	w := newWordCount(t, "x")
	app, err := New(w.topo, Config{AppID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Locate(app, w.store, "word"); err == nil || !strings.Contains(err.Error(), "CREATED") {
		t.Errorf("%v, want the state", err)
	}
}
