package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryPackageHasItsPromise(t *testing.T) {
	for path, p := range tree(t) {
		var doc *ast.CommentGroup
		own := false
		for _, f := range p.files {
			if f.test {
				continue
			}
			own = true
			if f.syntax.Doc == nil {
				continue
			}
			if filepath.Base(f.name) != "doc.go" {
				t.Errorf("%s: the package comment belongs into doc.go, where a reader looks for it", f.name)
				continue
			}
			doc = f.syntax.Doc
		}
		if own && doc == nil {
			t.Errorf("%s has no doc.go with a package comment: what it is, what it never does, who may call it", path)
			continue
		}
		if own && !strings.HasPrefix(doc.Text(), "Package ") && !strings.HasPrefix(doc.Text(), "Command ") {
			t.Errorf("%s/doc.go begins with %q, want \"Package …\" or \"Command …\"", path, strings.SplitN(doc.Text(), "\n", 2)[0])
		}
	}
}

// unfinished are words that say that something is not there yet. They are taken apart here, so that this file does not contain them.
var unfinished = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "not imple" + "mented"}

func TestNothingIsLeftForLater(t *testing.T) {
	for _, p := range tree(t) {
		for _, f := range p.files {
			text, err := os.ReadFile(filepath.Join("..", "..", f.name))
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				for _, word := range unfinished {
					if strings.Contains(line, word) {
						t.Errorf("%s:%d: %q: build it, or leave it out and open an issue", f.name, i+1, word)
					}
				}
			}
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, p := range tree(t) {
		for _, f := range p.files {
			if !f.test {
				continue
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && !inSynctest(f) {
						t.Errorf("%s: a sleep is too short on a busy machine and too long on all others: wait for what should happen", f.fset.Position(s.Pos()))
					}
				}
				return true
			})
		}
	}
}

// inSynctest tells whether a file's tests run in a synctest bubble, where a sleep takes no time.
func inSynctest(f file) bool {
	for _, imported := range importsOf(f) {
		if imported == "testing/synctest" {
			return true
		}
	}
	return false
}
