package statestore

import (
	"fmt"
	"maps"

	"github.com/millrace-io/millrace/stream/serde"
)

// common is what every spec has, whatever kind of store it describes. Immutable: the option methods of the specs change a copy.
type common struct {
	name        string
	inMemory    bool
	noChangelog bool
	noCache     bool
	config      map[string]string // the user's changelog settings; never changed in place
}

// StoreName is the name that the user gave.
func (c *common) StoreName() string { return c.name }

// IsInMemory says that the user asked for memory whatever engine the application uses.
func (c *common) IsInMemory() bool { return c.inMemory }

// Cached says that the record cache may hold changes back until a commit; false after WithoutCache.
func (c *common) Cached() bool { return !c.noCache }

// changelog puts the user's settings over the defaults of the store's kind.
func (c *common) changelog(defaults map[string]string) Changelog {
	maps.Copy(defaults, c.config)
	return Changelog{Enabled: !c.noChangelog, Config: defaults}
}

func (c *common) setConfig(key, value string) {
	config := make(map[string]string, len(c.config)+1)
	maps.Copy(config, c.config)
	config[key] = value
	c.config = config
}

// check reports what makes a spec unusable, whoever opens it.
func check[K, V any](c *common, key serde.Serde[K], value serde.Serde[V]) error {
	switch {
	case c.name == "":
		return fmt.Errorf("statestore: a store has no name")
	case key == nil:
		return fmt.Errorf("statestore: store %q has no key serde", c.name)
	case value == nil:
		return fmt.Errorf("statestore: store %q has no value serde", c.name)
	}
	return nil
}
