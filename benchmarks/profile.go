package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiled runs a workload, with a CPU profile of it where profiles are asked for: <name>.pprof, the last round's.
func (b *bench) profiled(name string, run func() (measure, error)) (m measure, err error) {
	if b.profile == "" {
		return run()
	}
	f, err := os.Create(filepath.Join(b.profile, name+".pprof"))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return m, err
	}
	defer pprof.StopCPUProfile()
	return run()
}
