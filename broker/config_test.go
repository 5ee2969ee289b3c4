package broker_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker"
)

func TestSettingsThatContradictTheConfigAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  broker.Config
		want string // in the error; "" for none
	}{
		"another node":              {broker.Config{NodeID: 2, Set: map[string]string{"node.id": "3"}}, "node.id=3"},
		"the same node":             {broker.Config{NodeID: 2, Set: map[string]string{"node.id": "2", "broker.id": "2"}}, ""},
		"a node by setting alone":   {broker.Config{Set: map[string]string{"node.id": "7"}}, ""},
		"two nodes by settings":     {broker.Config{Set: map[string]string{"node.id": "7", "broker.id": "8"}}, "broker.id=8"},
		"another directory":         {broker.Config{Dir: "a", Set: map[string]string{"log.dirs": "b"}}, "log.dirs=b"},
		"a directory by setting":    {broker.Config{Set: map[string]string{"log.dirs": "b"}}, "Config.Dir"},
		"another address":           {broker.Config{Advertise: "h:1", Set: map[string]string{"advertised.listeners": "PLAINTEXT://i:1"}}, "Config.Advertise"},
		"another flush mode":        {broker.Config{Flush: broker.FlushOS, Set: map[string]string{"flush": "always"}}, "flush=always"},
		"a flush mode by setting":   {broker.Config{Set: map[string]string{"flush": "always"}}, ""},
		"where it listens":          {broker.Config{Set: map[string]string{"listeners": "PLAINTEXT://:9092"}}, "listeners"},
		"a negative node":           {broker.Config{NodeID: -1}, "negative"},
		"an address without a port": {broker.Config{Advertise: "h"}, "HOST:PORT"},
	} {
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error that names %s", name, err, c.want)
		}
	}
}
