package topology

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Site is the line of the user's program that a part of the topology comes from.
type Site struct {
	File string // as the compiler recorded it
	Line int    // 0 when the site is unknown
}

// String is the short form for messages: the file's base name and the line.
func (s Site) String() string {
	if s.Line == 0 {
		return "(unknown line)"
	}
	return filepath.Base(s.File) + ":" + strconv.Itoa(s.Line)
}

// Op is one call of a DSL function: its name as the user writes it, and where.
type Op struct {
	Name string
	Site Site
}

// dslPackages are the packages whose frames are skipped in the search for the user's line. The dot or bracket that must follow keeps their external test
// packages outside.
var dslPackages = [...]string{
	"github.com/millrace-io/millrace/stream.",
	"github.com/millrace-io/millrace/ktable.",
	"github.com/millrace-io/millrace/internal/topology.",
}

// maxFrames bounds the search for the user's line: the DSL is never that deep.
const maxFrames = 32

// Here names the DSL call that is under way: the first frame outside the DSL's packages is the user's.
func Here(name string) Op {
	var pcs [maxFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function != "" && !inDSL(f.Function) {
			return Op{Name: name, Site: Site{File: f.File, Line: f.Line}}
		}
		if !more {
			return Op{Name: name}
		}
	}
}

func inDSL(function string) bool {
	for _, p := range dslPackages {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}
