package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/millrace-io/millrace"

// pkg is one package of the module, by its path below the module's root.
type pkg struct {
	path    string
	files   []file // in the order of their names
	imports map[string]bool
}

type file struct {
	name   string // from the module's root
	test   bool
	syntax *ast.File
	fset   *token.FileSet
}

// tree returns all packages of the module by path, "." being the root. Nested modules and testdata are not part of it.
func tree(t *testing.T) map[string]*pkg {
	t.Helper()
	pkgs, err := loadTree()
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

var loadTree = sync.OnceValues(func() (map[string]*pkg, error) {
	pkgs := map[string]*pkg{}
	fset := token.NewFileSet()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, rel, d.Name())
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		p := pkgs[dir]
		if p == nil {
			p = &pkg{path: dir, imports: map[string]bool{}}
			pkgs[dir] = p
		}
		f := file{filepath.ToSlash(rel), strings.HasSuffix(rel, "_test.go"), syntax, fset}
		p.files = append(p.files, f)
		if !f.test {
			for _, imported := range importsOf(f) {
				p.imports[imported] = true
			}
		}
		return nil
	})
	return pkgs, err
})

// enter decides whether the walk goes into a directory.
func enter(root, rel, name string) error {
	if rel == "." {
		return nil
	}
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(root, rel, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// own marks an import of this module, followed by its path below the root: module "runtime" and the standard library's are two things.
const own = "./"

// importsOf lists a file's imports: those of this module as own and their path, others as they are.
func importsOf(f file) []string {
	var all []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it
		}
		if rest, found := strings.CutPrefix(p, module+"/"); found {
			p = own + rest
		}
		all = append(all, p)
	}
	return all
}

// reach returns everything that a package's own code imports, directly or through packages of this module, each with the chain that leads there.
func reach(pkgs map[string]*pkg, from string) map[string][]string {
	chains := map[string][]string{}
	var visit func(p string, chain []string)
	visit = func(p string, chain []string) {
		for imported := range pkgs[p].imports {
			if _, seen := chains[imported]; seen {
				continue
			}
			next := append(slices.Clone(chain), imported)
			chains[imported] = next
			if rest, found := strings.CutPrefix(imported, own); found && pkgs[rest] != nil {
				visit(rest, next)
			}
		}
	}
	visit(from, []string{from})
	return chains
}

// under tells whether a path is one of the roots or below one.
func under(p string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return p == root || strings.HasPrefix(p, root+"/") })
}

// standard tells whether an import is of the standard library.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}
