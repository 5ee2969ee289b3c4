package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// FlushMode says what an acknowledgement promises. The metadata of the cluster is always flushed.
type FlushMode string

// The flush modes.
const (
	// FlushOS leaves the time of flushing to the operating system: what was acknowledged survives a kill of the process, not a power loss.
	FlushOS FlushMode = "os"
	// FlushInterval is FlushOS with a flush every log.flush.scheduler.interval.ms: a power loss takes no more than that.
	FlushInterval FlushMode = "interval"
	// FlushAlways acknowledges what is on disk. One flush serves all that wait for it.
	FlushAlways FlushMode = "always"
)

// Config is what a Server is started with. The zero Config runs: in memory, with Kafka's defaults.
type Config struct {
	// Dir is the data directory, made when missing. Empty: the data lives in memory and ends with the server.
	Dir string

	// FS holds the data. Nil: the operating system's files, or memory when Dir is empty.
	FS vfs.FS

	// NodeID is the broker's number in its cluster. Zero: 1.
	NodeID int32

	// Advertise is HOST:PORT that clients are told to connect to. Empty: the address of the listener that they came in on.
	Advertise string

	// Flush says what an acknowledgement promises. Empty: the setting "flush", by default FlushOS.
	Flush FlushMode

	// Set holds settings by Kafka's names, such as "num.partitions". Names that the broker does not know are refused, and so is what contradicts
	// another field of Config.
	Set map[string]string

	// Logger gets the server's log. Nil: nothing is logged.
	Logger *slog.Logger

	// Now is the clock that record times, retention and expiry go by. Nil: time.Now.
	Now func() time.Time
}

const defaultNodeID = 1

// Validate returns every fault of the configuration, as one error.
func (c *Config) Validate() error {
	_, err := c.resolve()
	return err
}

// resolved is a Config with its defaults in place.
type resolved struct {
	Config
	settings *settings.Broker
	flush    replica.FlushMode
}

// own are the settings that have fields of their own.
func (r *resolved) own() map[string]string {
	own := map[string]string{"node.id": strconv.Itoa(int(r.NodeID))}
	own["broker.id"] = own["node.id"]
	if r.Flush != "" {
		own["flush"] = string(r.Flush)
	}
	if r.Dir != "" {
		own["log.dirs"] = r.Dir
	}
	if r.Advertise != "" {
		own["advertised.listeners"] = "PLAINTEXT://" + r.Advertise
	}
	return own
}

// contradictions are the settings in Set that a field says otherwise, or that only a field can say: better refused than ignored.
func (r *resolved) contradictions() (faults []error) {
	own := r.own()
	for _, s := range []struct{ name, field string }{
		{"node.id", "NodeID"}, {"broker.id", "NodeID"}, {"log.dirs", "Dir"}, {"advertised.listeners", "Advertise"}, {"flush", "Flush"},
	} {
		asked, ok := r.Set[s.name]
		said, has := own[s.name]
		if ok && asked != said && (has || s.name != "flush") {
			faults = append(faults, fmt.Errorf("%s=%s does not go with Config.%s, which says %q", s.name, asked, s.field, said))
		}
	}
	return faults
}

// nodeIDIn is the node's number as Kafka's properties say it, or the default.
func nodeIDIn(set map[string]string) int32 {
	for _, name := range []string{"node.id", "broker.id"} {
		if n, err := strconv.ParseInt(set[name], 10, 32); err == nil {
			return int32(n)
		}
	}
	return defaultNodeID
}

func (c *Config) resolve() (*resolved, error) {
	r := &resolved{Config: *c}
	if r.NodeID == 0 {
		r.NodeID = nodeIDIn(r.Set)
	}
	faults := r.contradictions()
	if r.NodeID < 0 {
		faults = append(faults, fmt.Errorf("node id %d is negative", r.NodeID))
	}
	if r.FS == nil {
		r.FS = vfs.Default
		if r.Dir == "" {
			r.FS = vfs.NewMem()
		}
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	set := maps.Clone(r.Set)
	if set == nil {
		set = map[string]string{}
	}
	maps.Copy(set, r.own())
	if r.Advertise != "" {
		if _, _, err := splitAddress(r.Advertise); err != nil {
			faults = append(faults, err)
		}
	}
	b, err := settings.NewBroker(set)
	if err != nil {
		return nil, fmt.Errorf("broker: the configuration does not do: %w", errors.Join(append(faults, err)...))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("broker: the configuration does not do: %w", err)
	}
	r.settings = b
	r.flush = replica.FlushMode(b.String("flush"))
	return r, nil
}
