package settings

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a value, with the numbers that DescribeConfigs answers.
type Type int8

// The types of Kafka's configuration protocol.
const (
	Bool     Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// String is the type's name as Kafka writes it in error messages.
func (t Type) String() string {
	names := [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}
	if t < 0 || int(t) >= len(names) {
		return names[0]
	}
	return names[t]
}

// Update says whether a broker setting can change while the broker runs, and for whom.
type Update int8

// The update modes of a broker setting.
const (
	// ReadOnly is fixed at start.
	ReadOnly Update = iota
	// ClusterWide can change at run time, for one broker or for all.
	ClusterWide
)

// Def is one entry of the catalogue. It is immutable.
type Def struct {
	Name    string
	Type    Type
	Default string   // as a user would write it; "" of a String with NoDefault means null
	Min     float64  // smallest number allowed; numbers only
	Max     float64  // largest number allowed; numbers only
	Except  []int64  // numbers between Min and Max that are not allowed
	OneOf   []string // allowed values of a String, or of each element of a List; nil: any
	Update  Update   // broker settings only
	Doc     string

	// NoDefault marks a setting whose default is null.
	NoDefault bool
	// Broker is, for a topic config, the broker setting that gives the default of topics without the config; "" when none does.
	Broker string
	// Refuse, when not empty, says why any value but the default is refused: the feature behind it does not exist here.
	Refuse string
}

// InvalidError tells which value of which name does not do, in Kafka's words.
type InvalidError struct {
	Name, Value, Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", e.Value, e.Name, e.Reason)
}

// Parse checks s against the definition and returns the value.
func (d *Def) Parse(s string) (Value, error) {
	v := Value{raw: s}
	fail := func(reason string) (Value, error) {
		return Value{}, &InvalidError{Name: d.Name, Value: s, Reason: reason}
	}
	t := strings.TrimSpace(s)
	switch d.Type {
	case Bool:
		switch strings.ToLower(t) {
		case "true":
			v.num = 1
		case "false":
		default:
			return fail("Expected value to be either true or false")
		}
		v.raw = strings.ToLower(t)
	case Short, Int, Long:
		n, err := strconv.ParseInt(t, 10, d.bits())
		if err != nil {
			return fail("Not a number of type " + d.Type.String())
		}
		if float64(n) < d.Min {
			return fail("Value must be at least " + formatBound(d.Min))
		}
		if float64(n) > d.Max {
			return fail("Value must be no more than " + formatBound(d.Max))
		}
		if slices.Contains(d.Except, n) {
			return fail(fmt.Sprintf("Value must not be %d", n))
		}
		v.num, v.raw = n, t
	case Double:
		f, err := strconv.ParseFloat(t, 64)
		if err != nil || math.IsNaN(f) {
			return fail("Not a number of type DOUBLE")
		}
		if f < d.Min {
			return fail("Value must be at least " + formatBound(d.Min))
		}
		if f > d.Max {
			return fail("Value must be no more than " + formatBound(d.Max))
		}
		v.float, v.raw = f, t
	case List:
		if d.OneOf != nil && t != "" && slices.ContainsFunc(strings.Split(t, ","), isBlank) {
			return fail("String must be one of: " + strings.Join(d.OneOf, ", "))
		}
		for _, e := range splitList(s) {
			if d.OneOf == nil {
				v.list = append(v.list, e)
				continue
			}
			if !slices.Contains(d.OneOf, e) {
				return fail("String must be one of: " + strings.Join(d.OneOf, ", "))
			}
			if !slices.Contains(v.list, e) { // said twice it counts once
				v.list = append(v.list, e)
			}
		}
		v.raw = strings.Join(v.list, ",")
	default:
		if d.OneOf != nil && !slices.Contains(d.OneOf, s) {
			return fail("String must be one of: " + strings.Join(d.OneOf, ", "))
		}
	}
	if d.Refuse != "" && v.raw != d.Default {
		return fail(d.Refuse)
	}
	return v, nil
}

func (d *Def) bits() int {
	switch d.Type {
	case Short:
		return 16
	case Int:
		return 32
	}
	return 64
}

func formatBound(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

func splitList(s string) []string {
	var out []string
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// Value is a parsed value. The zero Value is null.
type Value struct {
	raw   string
	num   int64
	float float64
	list  []string // immutable
}

// String is the value as DescribeConfigs shows it.
func (v Value) String() string { return v.raw }

// Int is the value as a number; 0 when it is none.
func (v Value) Int() int64 { return v.num }

// catalogue is a set of definitions in a fixed order.
type catalogue struct {
	defs   []Def
	byName map[string]*Def
}

func newCatalogue(defs []Def) *catalogue {
	c := &catalogue{defs: defs, byName: make(map[string]*Def, len(defs))}
	slices.SortFunc(c.defs, func(a, b Def) int { return strings.Compare(a.Name, b.Name) })
	for i := range c.defs {
		d := &c.defs[i]
		if c.byName[d.Name] != nil {
			panic("settings: two definitions of " + d.Name)
		}
		c.byName[d.Name] = d
	}
	return c
}

// Builders of definitions; they set the bounds of a type and nothing else.

func boolDef(name, def, doc string) Def {
	return Def{Name: name, Type: Bool, Default: def, Doc: doc}
}

func shortDef(name, def string, min float64, doc string) Def {
	return Def{Name: name, Type: Short, Default: def, Min: min, Max: math.MaxInt16, Doc: doc}
}

func intDef(name, def string, min, max float64, doc string) Def {
	return Def{Name: name, Type: Int, Default: def, Min: min, Max: max, Doc: doc}
}

func longDef(name, def string, min float64, doc string) Def {
	return Def{Name: name, Type: Long, Default: def, Min: min, Max: math.MaxInt64, Doc: doc}
}

func stringDef(name, def, doc string, oneOf ...string) Def {
	return Def{Name: name, Type: String, Default: def, Doc: doc, OneOf: oneOf}
}

func listDef(name, def, doc string, oneOf ...string) Def {
	return Def{Name: name, Type: List, Default: def, Doc: doc, OneOf: oneOf}
}

func (d Def) dynamic() Def           { d.Update = ClusterWide; return d }
func (d Def) except(n int64) Def     { d.Except = []int64{n}; return d }
func (d Def) null() Def              { d.NoDefault = true; return d }
func (d Def) from(broker string) Def { d.Broker = broker; return d }
func (d Def) refuse(why string) Def  { d.Refuse = why; return d }
