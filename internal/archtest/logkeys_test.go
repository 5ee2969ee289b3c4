package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logKeys are the attributes of log lines, with what they hold. Whoever searches a log knows them all; a new one is added here first.
var logKeys = map[string]string{
	"error": "why, as text",
	"panic": "what was panicked with", "stack": "where",

	"topic": "name", "partition": "number", "topic_id": "hexadecimal",
	"offset": "of a record", "start": "first offset of a log", "end": "offset after the last record", "checkpoint": "offset that a store is at",
	"epoch": "of a leader or producer", "bytes": "of records or files", "segments": "how many", "partitions": "how many", "path": "of a file or directory",
	"read": "bytes that a cleaning read", "written": "bytes that it wrote", "free": "bytes that a disk has left",

	"transactional_id": "of a producer", "producer_id": "number", "newer": "records that a newer program wrote",

	"client": "address, or what a client of ours is for", "listener": "address", "brokers": "addresses",
	"api": "name of a request", "version": "of a request", "others": "lines that were not written, to keep the log small",

	"worker": "number within the process", "task": "subtopology and partition", "store": "name", "operator": "name in the topology",
	"records": "how many", "reason": "why a record was dropped", "app": "its id",
	"attempt": "number of the try", "pause": "until the next try",

	"slot": "of a database's replication", "pid": "of a process", "lsn": "place in a database's log", "table": "of a database", "rows": "how many",
}

func TestLogLinesHaveTheirKeysFromOneList(t *testing.T) {
	lines := 0
	for _, p := range tree(t) {
		for _, f := range p.files {
			if f.test {
				continue
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				pairs, is := logPairs(call)
				if !is {
					return true
				}
				lines++
				for i := 0; i < len(pairs); i += 2 {
					key, err := literal(pairs[i])
					switch {
					case err != nil && call.Ellipsis.IsValid(): // handed through from elsewhere
					case err != nil:
						t.Errorf("%s: the key of a log line is no literal: nobody finds it", f.fset.Position(pairs[i].Pos()))
					case logKeys[key] == "":
						t.Errorf("%s: the key %q is on no list: use one of logKeys, or add it there with what it holds", f.fset.Position(pairs[i].Pos()), key)
					}
				}
				return true
			})
		}
	}
	if lines < 20 {
		t.Errorf("%d log lines were found: the test does not see them any more", lines)
	}
}

// logPairs returns the keys and values of a call that writes a log line, or makes a logger that does.
func logPairs(call *ast.CallExpr) (pairs []ast.Expr, is bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(method.X) {
		return nil, false
	}
	skip := 1 // the message
	switch {
	case method.Sel.Name == "With":
		skip = 0
	case strings.HasSuffix(method.Sel.Name, "Context"):
		skip = 2
	}
	levels := []string{"Debug", "Info", "Warn", "Error", "With"}
	if !slices.Contains(levels, strings.TrimSuffix(method.Sel.Name, "Context")) || len(call.Args) < skip {
		return nil, false
	}
	return call.Args[skip:], true
}

// isLogger tells loggers by their names, which all end alike: log, Log, Logger.
func isLogger(x ast.Expr) bool {
	var name string
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	case *ast.CallExpr:
		if s, ok := x.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "With" {
			return isLogger(s.X)
		}
	}
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "log") || strings.HasSuffix(name, "logger")
}

func literal(x ast.Expr) (string, error) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", strconv.ErrSyntax
	}
	return strconv.Unquote(lit.Value)
}
