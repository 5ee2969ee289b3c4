package golden_test

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// userFault is the type of the fault that failIf and failOn make.
type userFault struct{}

func (userFault) Error() string { return "the case's function fails" }

// errUser is that fault.
var errUser error = userFault{}

// expr is an expression over a key and a value.
type expr func(key, value text) (text, error)

// step is one step of an expression on a text.
type stepFunc func(x text) (text, error)

func toText(s string) text { return text{kind: str, s: s} }

func number(x text) int64 {
	n, err := strconv.ParseInt(x.String(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func parseExpr(src string) expr {
	steps := strings.Split(src, "|")
	subject := func(_, value text) text { return value }
	switch first := steps[0]; {
	case first == "key":
		subject, steps = func(key, _ text) text { return key }, steps[1:]
	case first == "value":
		steps = steps[1:]
	case strings.HasPrefix(first, "kv:"):
		sep := strings.TrimPrefix(first, "kv:")
		subject, steps = func(k, v text) text { return toText(spell(k) + sep + spell(v)) }, steps[1:]
	}
	var fs []stepFunc
	for _, s := range steps {
		if s != "" {
			fs = append(fs, parseStep(s))
		}
	}
	return func(key, value text) (text, error) {
		x := subject(key, value)
		var err error
		for _, f := range fs {
			if x, err = f(x); err != nil {
				return text{}, err
			}
		}
		return x, nil
	}
}

// spell is the text with null spelled out.
func spell(x text) string {
	if x.IsNull() {
		return "null"
	}
	return x.String()
}

func parseStep(src string) stepFunc {
	name, arg, _ := strings.Cut(src, ":")
	onText := func(f func(s string) string) stepFunc {
		return func(x text) (text, error) {
			if x.IsNull() {
				return x, nil
			}
			return toText(f(x.String())), nil
		}
	}
	switch name {
	case "identity":
		return onText(func(s string) string { return s })
	case "upper":
		return onText(strings.ToUpper)
	case "lower":
		return onText(strings.ToLower)
	case "append":
		return onText(func(s string) string { return s + arg })
	case "prefix":
		return onText(func(s string) string { return arg + s })
	case "length":
		return onText(func(s string) string { return strconv.Itoa(utf8.RuneCountInString(s)) })
	case "firstChar":
		return onText(func(s string) string {
			_, n := utf8.DecodeRuneInString(s)
			return s[:n]
		})
	case "before":
		return onText(func(s string) string {
			if i := strings.LastIndex(s, arg); i >= 0 {
				return s[:i]
			}
			return s
		})
	case "after":
		return onText(func(s string) string {
			if i := strings.LastIndex(s, arg); i >= 0 {
				return s[i+len(arg):]
			}
			return s
		})
	case "add":
		by, _ := strconv.ParseInt(arg, 10, 64)
		return onText(func(s string) string { return strconv.FormatInt(number(toText(s))+by, 10) })
	case "nullIf":
		return func(x text) (text, error) {
			if !x.IsNull() && x.String() == arg {
				return text{}, nil
			}
			return x, nil
		}
	case "failIf":
		return func(x text) (text, error) {
			if !x.IsNull() && strings.Contains(x.String(), arg) {
				return text{}, errUser
			}
			return x, nil
		}
	case "constant":
		return func(text) (text, error) { return toText(arg), nil }
	case "null":
		return func(text) (text, error) { return text{}, nil }
	case "orElse":
		return func(x text) (text, error) {
			if x.IsNull() {
				return toText(arg), nil
			}
			return x, nil
		}
	case "spell":
		return func(x text) (text, error) { return toText(spell(x)), nil }
	}
	panic(fmt.Sprintf("golden: step %q", src))
}

// asString makes the result of a function the string that it always is.
func asString(x text, err error) (text, error) {
	if err == nil && x.kind == num {
		x = toText(x.String())
	}
	return x, err
}

func (e expr) str(key, value text) (text, error) { return asString(e(key, value)) }

// predicate is an expression, then perhaps not, then one test.
func parsePredicate(src string) func(key, value text) (bool, error) {
	parts := strings.Split(src, "|")
	test, parts := parts[len(parts)-1], parts[:len(parts)-1]
	want := true
	if n := len(parts); n > 0 && parts[n-1] == "not" {
		want, parts = false, parts[:n-1]
	}
	e := parseExpr(strings.Join(parts, "|"))
	name, arg, _ := strings.Cut(test, ":")
	return func(key, value text) (bool, error) {
		x, err := e(key, value)
		if err != nil {
			return false, err
		}
		return holds(name, arg, x) == want, nil
	}
}

func holds(name, arg string, x text) bool {
	switch name {
	case "isNull":
		return x.IsNull()
	case "true":
		return true
	}
	if x.IsNull() {
		return false
	}
	n, _ := strconv.ParseInt(arg, 10, 64)
	switch name {
	case "contains":
		return strings.Contains(x.String(), arg)
	case "startsWith":
		return strings.HasPrefix(x.String(), arg)
	case "equals":
		return x.String() == arg
	case "longerThan":
		return int64(utf8.RuneCountInString(x.String())) > n
	case "moreThan":
		return number(x) > n
	}
	panic(fmt.Sprintf("golden: test %q", name))
}

func parseList(src string) func(value text) []text {
	name, arg, _ := strings.Cut(src, ":")
	return func(v text) (out []text) {
		switch name {
		case "dup":
			n, _ := strconv.Atoi(arg)
			for range n {
				out = append(out, v)
			}
			return out
		case "words":
			for w := range strings.SplitSeq(v.String(), " ") {
				if !v.IsNull() && w != "" {
					out = append(out, toText(w))
				}
			}
			return out
		case "chars":
			if !v.IsNull() {
				for _, r := range v.String() {
					out = append(out, toText(string(r)))
				}
			}
			return out
		}
		panic(fmt.Sprintf("golden: list %q", src))
	}
}

// combiner joins two texts; key is used by concatKey only.
func parseCombiner(src string) func(key, left, right text) (text, error) {
	parts := strings.Split(strings.TrimRight(src, "|"), "|") // as Java splits
	guards, last := parts[:len(parts)-1], parts[len(parts)-1]
	name, arg, _ := strings.Cut(last, ":")
	return func(key, left, right text) (text, error) {
		for _, g := range guards {
			kind, want, _ := strings.Cut(g, ":")
			if right.IsNull() || right.String() != want {
				continue
			}
			switch kind {
			case "nullOn":
				return text{}, nil
			case "keepOn":
				return asString(left, nil)
			case "failOn":
				return text{}, errUser
			default:
				panic(fmt.Sprintf("golden: guard %q", g))
			}
		}
		return asString(combine(name, arg, key, left, right), nil)
	}
}

func combine(name, sep string, key, left, right text) text {
	count := func(x text) int64 {
		if x.IsNull() {
			return 0
		}
		return int64(utf8.RuneCountInString(x.String()))
	}
	of := func(n int64) text { return toText(strconv.FormatInt(n, 10)) }
	switch name {
	case "concat":
		return toText(spell(left) + sep + spell(right))
	case "concatKey":
		return toText(spell(key) + sep + spell(left) + sep + spell(right))
	case "join":
		if left.IsNull() {
			return toText(spell(right))
		}
		return toText(left.String() + sep + spell(right))
	case "remove":
		if left.IsNull() {
			return left
		}
		return toText(strings.Replace(left.String(), sep+spell(right), "", 1))
	case "left":
		return left
	case "right":
		return right
	case "null":
		return text{}
	case "sum":
		return of(number(left) + number(right))
	case "subtract":
		return of(number(left) - number(right))
	case "sumLengths":
		return of(number(left) + count(right))
	case "subtractLengths":
		return of(number(left) - count(right))
	case "count":
		return of(number(left) + 1)
	case "uncount":
		return of(number(left) - 1)
	case "max", "min":
		switch {
		case left.IsNull():
			return right
		case right.IsNull():
			return left
		case (left.String() > right.String()) == (name == "max"):
			return left
		}
		return right
	}
	panic(fmt.Sprintf("golden: combiner %q", name))
}
