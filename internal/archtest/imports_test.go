package archtest

import (
	"cmp"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// importRule forbids a set of packages to reach others, directly or through packages of this module. Tests may import what they like.
type importRule struct {
	who    []string // roots
	except []string // roots that the rule does not bind, or may be reached
	never  []string // roots
	reason string
}

var (
	programs = []string{"cmd", "console", "examples", "benchmarks"}
	half     = []string{"stream", "ktable", "statestore", "runtime"} // what a topology is written with and runs in
)

var importRules = []importRule{
	{
		who: []string{"broker"}, never: append([]string{"internal/topology", "internal/client"}, half...),
		reason: "the log server and the stream half speak the wire protocol, also inside one process: that seam is what lets a topology move to another cluster",
	},
	{
		who: half, never: []string{"broker", "internal/memnet"},
		reason: "a topology runs on any Kafka cluster: the program that embeds a log hands the runtime a dial function",
	},
	{
		who: []string{"runtime"}, never: []string{"ktable"},
		reason: "to the runtime a table is nodes and a store; it runs the graph, not the DSL",
	},
	{
		who: []string{"stream"}, except: []string{"stream/serde"}, never: []string{"ktable", "runtime"},
		reason: "ktable builds on stream and runtime runs what both built; the reverse would be a cycle in the ideas",
	},
	{
		who: []string{"ktable"}, never: []string{"runtime"},
		reason: "building a topology needs nobody who runs it",
	},
	{
		who: []string{"statestore"}, except: []string{"stream/serde"}, never: []string{"stream", "ktable", "runtime", "internal/topology"},
		reason: "a store knows bytes, serdes and its engine; it must be usable and testable without a topology",
	},
	{
		who: []string{"internal/topology"}, except: []string{"stream/serde"}, never: []string{"stream", "ktable", "runtime", "broker", "internal/client", "github.com"},
		reason: "the graph is what the DSL builds and the runtime runs; it belongs to neither, and it is pure",
	},
	{
		who: []string{"internal/record", "internal/memnet", "internal/invariant"}, never: append([]string{"broker"}, half...),
		reason: "both halves share these packages, so they can depend on neither",
	},
	{
		who: []string{"broker"}, except: []string{"broker/brokertest"}, never: []string{"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kadm", "github.com/twmb/franz-go/pkg/kfake"},
		reason: "a server that talks to itself through a client hides what it does; messages (kmsg) and error codes (kerr) are all it shares with clients",
	},
	{
		who: append([]string{"broker"}, half...), never: []string{"connect", "github.com/jackc"},
		reason: "a connector is for those who have the other system: the core does not carry its drivers",
	},
	{
		who: []string{"connect"}, never: []string{"broker", "runtime", "internal/client", "internal/memnet"},
		reason: "a connector speaks to the log through Kafka's protocol, beside a topology or alone",
	},
	{
		who: append([]string{"broker", "internal"}, half...), never: programs,
		reason: "programs stand on the packages",
	},
	{
		who: append([]string{"broker", "cmd", "internal", "examples"}, half...), never: []string{"github.com/apache/arrow-go", "github.com/lovoo/goka", "github.com/IBM/sarama", "github.com/twmb/franz-go/pkg/kfake"},
		reason: "these imports weigh 10 to 30 MB or are peers to measure against: whoever wants one asks for it, in a package or module of its own",
	},
}

func TestImportRules(t *testing.T) {
	pkgs := tree(t)
	for _, rule := range importRules {
		for path := range pkgs {
			if !under(path, rule.who...) || under(path, rule.except...) {
				continue
			}
			for imported, chain := range reach(pkgs, path) {
				imported, ours := strings.CutPrefix(imported, own)
				if !ours && standard(imported) {
					continue
				}
				if under(imported, rule.never...) && !under(imported, rule.except...) {
					t.Errorf("%s imports %s (%s)\nbut %s", path, imported, strings.Join(chain, " -> "), rule.reason)
				}
			}
		}
	}
}

func TestSerdesNeedOnlyTheStandardLibrary(t *testing.T) {
	pkgs := tree(t)
	for imported := range pkgs["stream/serde"].imports {
		if strings.HasPrefix(imported, own) || !standard(imported) {
			t.Errorf("stream/serde imports %s\nbut everybody's serdes depend on it: it brings nothing along; heavier formats get packages of their own", imported)
		}
	}
}

// purePackages are functions of (state, request, now): failover is tested by simulating them, and a replay gives what the first run gave.
var purePackages = []string{
	"broker/internal/partition", "broker/internal/group", "broker/internal/group/assign", "broker/internal/txn", "broker/internal/controller",
	"runtime/internal/assign", "internal/topology",
}

// What a pure package may not use. A whole package is named alone, a member of one behind a dot.
var impure = map[string]string{
	"net":                  "talks to nobody",
	"os":                   "touches no file",
	"os/exec":              "starts no program",
	"syscall":              "asks the kernel nothing",
	"log":                  "returns what is to be said",
	"log/slog":             "returns what is to be said",
	"crypto/rand":          "is given its randomness",
	"math/rand":            "is given its randomness",
	"time.Now":             "is given the time",
	"time.Since":           "is given the time",
	"time.Until":           "is given the time",
	"time.After":           "returns deadlines, timers belong to the shell around it",
	"time.AfterFunc":       "returns deadlines, timers belong to the shell around it",
	"time.NewTimer":        "returns deadlines, timers belong to the shell around it",
	"time.NewTicker":       "returns deadlines, timers belong to the shell around it",
	"time.Tick":            "returns deadlines, timers belong to the shell around it",
	"time.Sleep":           "waits for nobody",
	"math/rand/v2.Int":     "is given its randomness",
	"math/rand/v2.IntN":    "is given its randomness",
	"math/rand/v2.Int64":   "is given its randomness",
	"math/rand/v2.Uint32":  "is given its randomness",
	"math/rand/v2.Uint64":  "is given its randomness",
	"math/rand/v2.N":       "is given its randomness",
	"math/rand/v2.Float64": "is given its randomness",
	"math/rand/v2.Perm":    "is given its randomness",
	"math/rand/v2.Shuffle": "is given its randomness",
}

func TestPurePackagesStayPure(t *testing.T) {
	pkgs := tree(t)
	for _, path := range purePackages {
		p := pkgs[path]
		if p == nil {
			t.Errorf("%s, which is to be pure, does not exist: correct the list", path)
			continue
		}
		for _, f := range p.files {
			if !f.test {
				checkPure(t, f)
			}
		}
	}
}

func checkPure(t *testing.T, f file) {
	t.Helper()
	names := map[string]string{} // local name: import path
	for _, spec := range f.syntax.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		// net/netip reads and writes addresses as text; it reaches nobody.
		if why, bad := impure[imported]; bad || strings.HasPrefix(imported, "net/") && imported != "net/netip" {
			t.Errorf("%s imports %s, but a pure package %s", f.name, imported, cmp.Or(why, impure["net"]))
		}
		local := imported[strings.LastIndexByte(imported, '/')+1:]
		if imported == "math/rand/v2" {
			local = "rand"
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = imported
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: starts a goroutine, but a pure package runs on its caller's", f.fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			if why, bad := impure[names[id.Name]+"."+n.Sel.Name]; bad {
				t.Errorf("%s: %s.%s, but a pure package %s", f.fset.Position(n.Pos()), id.Name, n.Sel.Name, why)
			}
		}
		return true
	})
}

// The rules themselves must be able to fail.
func TestImportRulesCatchAnOffender(t *testing.T) {
	pkgs := map[string]*pkg{
		"a": {path: "a", imports: map[string]bool{"./b": true}},
		"b": {path: "b", imports: map[string]bool{"./c/d": true, "runtime": true}},
	}
	chains := reach(pkgs, "a")
	if want := []string{"a", "./b", "./c/d"}; !slices.Equal(chains["./c/d"], want) {
		t.Errorf("chain to c/d is %v, want %v", chains["./c/d"], want)
	}
	if !under("c/d", "c") || under("cd", "c") || !under("c", "c") {
		t.Error("under does not stop at slashes")
	}
	if !standard("net/http") || standard("github.com/x/y") {
		t.Error("standard does not tell the standard library")
	}
}
