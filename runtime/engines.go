package runtime

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/diskstore"
	"github.com/millrace-io/millrace/statestore/memstore"
)

// engines are the databases of an instance: one on disk when it has a state directory, one in memory for the stores that want that.
type engines struct {
	disk   statestore.Engine // nil without a state directory
	memory statestore.Engine
}

func openEngines(dir string, cfg Config, log *slog.Logger) (*engines, error) {
	e := &engines{memory: memstore.New()}
	if dir == "" {
		return e, nil
	}
	disk, err := diskstore.Open(dir, diskstore.Options{CacheBytes: max(1, int64(cfg.CacheBytes)/2), Logger: log})
	if err != nil {
		return nil, fmt.Errorf("runtime: state directory: %w", err)
	}
	e.disk = disk
	return e, nil
}

// of returns the engine that holds a store.
func (e *engines) of(spec statestore.Spec) statestore.Engine {
	if e.disk == nil || spec.IsInMemory() {
		return e.memory
	}
	return e.disk
}

func (e *engines) close() error {
	var errs []error
	if e.disk != nil {
		errs = append(errs, e.disk.Flush(), e.disk.Close())
	}
	return errors.Join(append(errs, e.memory.Close())...)
}
