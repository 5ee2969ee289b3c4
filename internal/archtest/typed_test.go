package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// userPackages are what a program writes topologies with and runs them by.
var userPackages = []string{"stream", "stream/serde", "ktable", "statestore", "runtime", "runtime/runtimetest"}

// TestSignaturesAreTyped holds that nothing a user calls or gets is of no type: what is typed end to end is found wrong by the compiler, and boxes nothing.
func TestSignaturesAreTyped(t *testing.T) {
	pkgs := tree(t)
	for _, p := range userPackages {
		if pkgs[p] == nil {
			t.Fatalf("there is no package %s", p)
		}
		for _, f := range pkgs[p].files {
			if f.test {
				continue
			}
			for _, decl := range f.syntax.Decls {
				for name, pos := range untypedParts(decl) {
					t.Errorf("%s: %s.%s has an any in its signature: users' types go end to end", f.fset.Position(pos), p, name)
				}
			}
		}
	}
}

// untypedParts returns the exported things of a declaration that have an any where a user meets it. Constraints of type parameters are no values.
func untypedParts(decl ast.Decl) map[string]token.Pos {
	found := map[string]token.Pos{}
	note := func(name string, at ast.Node) {
		ast.Inspect(at, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "any" {
					found[name] = n.Pos()
				}
			case *ast.InterfaceType:
				if len(n.Methods.List) == 0 {
					found[name] = n.Pos()
				}
			}
			return true
		})
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
			note(d.Name.Name, d.Type.Params)
			if d.Type.Results != nil {
				note(d.Name.Name, d.Type.Results)
			}
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			ts, ok := s.(*ast.TypeSpec)
			if !ok || !ts.Name.IsExported() {
				continue
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				for _, field := range st.Fields.List {
					if len(field.Names) == 0 || field.Names[0].IsExported() {
						note(ts.Name.Name, field.Type)
					}
				}
				continue
			}
			note(ts.Name.Name, ts.Type)
		}
	}
	return found
}

func exportedReceiver(recv *ast.FieldList) bool {
	x := recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

func TestAnyIsFoundWhereAUserMeetsIt(t *testing.T) {
	const src = `package p
func F(x any) {}
func G() []interface{} { return nil }
func H[T any](x T) T { return x }
func unseen(x any) {}
type S struct { X map[string]any; unseen any }
type I interface { M(x any) }
type N[T any] struct { X T }
func (S) M() any { return nil }
func (unseenType) M2() any { return nil }
type unseenType struct{}
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range f.Decls {
		for name := range untypedParts(d) {
			found = append(found, name)
		}
	}
	if want := []string{"F", "G", "S", "I", "M"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

// badProgram is a mistake in the body of a function, and what the compiler says about it.
type badProgram struct{ name, body, says string }

// world is what the programs have around them.
const world = `package main

import (
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

type (
	Order    struct{ Customer string }
	Customer struct{ Name string }
)

var (
	orders    = stream.NewTopic("orders", serde.String, serde.JSON[Order]())
	customers = stream.NewTopic("customers", serde.String, serde.JSON[Customer]())
	names     = stream.NewTopic("names", serde.String, serde.String)
	rows      = statestore.KeyValue("customers", serde.String, serde.JSON[Customer]())
	counts    = statestore.KeyValue("counts", serde.String, serde.Int64)
	texts     = statestore.KeyValue("texts", serde.String, serde.String)
)

func name(o Order, c Customer) string { return o.Customer + c.Name }

type orderProcess = func(*stream.Record[string, Order]) error

func build(b *stream.Builder, in *stream.Stream[string, Order], table *ktable.Table[string, Customer], d *runtimetest.Driver) {
%s
}

func main() {
	b := stream.NewBuilder()
	build(b, stream.From(b, orders), ktable.From(b, customers, rows), nil)
}
`

var badPrograms = []badProgram{
	{"wrong_store", `	ktable.Count(stream.GroupByKey(in), texts)`, "texts"},
	{"wrong_serde", `	stream.To(in, names)`, "names"},
	{"wrong_topic_serde", `	_ = stream.NewTopic[string, Order]("orders", serde.String, serde.String)`, "serde.String"},
	{"misspelt_store", `	_, _, _ = runtimetest.KeyValue(d, cuonts).Get("k")`, "undefined: cuonts"},
	{"swapped_joiner", `	ktable.JoinStream(in, table, func(c Customer, o Order) string { return name(o, c) })`, "func(c Customer, o Order) string"},
	{"wrong_joiner_result", `	stream.To(ktable.JoinStream(in, table, func(o Order, c Customer) int { return len(name(o, c)) }), names)`, "names"},
	{"wrong_key", `	stream.Filter(in, func(k int64, o Order) bool { return k > 0 })`, "func(k int64, o Order) bool"},
	{"swapped_aggregate", `	ktable.Aggregate(stream.GroupByKey(in), func() int64 { return 0 }, func(k string, sum int64, o Order) int64 { return sum }, counts)`, "func(k string, sum int64, o Order) int64"},
	{"query_of_another_type", `	var n string
	n, _, _ = runtimetest.KeyValue(d, counts).Get("k")
	_ = n`, "cannot use"},
	{"processor_store", `	stream.Process(in, func(p *stream.Processor[string, Order]) orderProcess {
		store := stream.Store(p, counts)
		return func(r *stream.Record[string, Order]) error { return store.Put(r.Key, "many", r.Timestamp) }
	}, counts)`, `"many"`},
	{"processor_result", `	stream.Process(in, func(p *stream.Processor[string, string]) orderProcess {
		return func(r *stream.Record[string, Order]) error { return p.Forward(*r) }
	})`, "*r"},
	{"global_key", `	g := ktable.FromGlobal(b, names, texts)
	ktable.JoinGlobal(in, g, func(_ string, o Order) Order { return o }, func(o Order, n string) string { return n })`, "func(_ string, o Order) Order"},
	{"branch_of_another_type", `	stream.Split(in).Branch("all", func(k, v string) bool { return true })`, "func(k, v string) bool"},
}

// TestWrongProgramsDoNotCompile gives the compiler programs with one mistake each, and reads its message: it names what is wrong.
func TestWrongProgramsDoNotCompile(t *testing.T) {
	good := badProgram{name: "good", body: `	stream.To(ktable.JoinStream(in, table, name), names)
	ktable.Count(stream.GroupByKey(in), counts)
	_ = d`}
	output := compile(t, append([]badProgram{good}, badPrograms...))
	if said := output["good"]; said != "" {
		t.Fatalf("the program without a mistake does not compile: %s", said)
	}
	for _, p := range badPrograms {
		said := output[p.name]
		if said == "" {
			t.Errorf("%s compiles:\n%s", p.name, p.body)
		} else if !strings.Contains(said, p.says) {
			t.Errorf("%s: the compiler says\n%s\nwithout %q", p.name, said, p.says)
		}
	}
}

// compile builds the programs, which lie in an overlay over the module, and returns what the compiler says about each.
func compile(t *testing.T, programs []badProgram) map[string]string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	args := []string{"build", "-o", os.DevNull, "-gcflags=-e", "-overlay", filepath.Join(dir, "overlay.json")}
	const under = "internal/archtest/programs"
	for _, p := range programs {
		src := filepath.Join(dir, p.name+".go")
		if err := os.WriteFile(src, fmt.Appendf(nil, world, p.body), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, under, p.name, "main.go")] = src
		args = append(args, "./"+under+"/"+p.name)
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run() // it fails: what matters is what it says
	output := map[string]string{}
	current := ""
	for line := range strings.Lines(said.String()) {
		if path, ok := strings.CutPrefix(line, "# "+module+"/"+under+"/"); ok {
			current = strings.TrimSpace(path)
			continue
		}
		if current == "" {
			t.Fatalf("go build: %v\n%s", err, said.String())
		}
		output[current] += line
	}
	return output
}
