package postgres

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// goValue decodes a column into Go and says what Postgres would be told.
type goValue func(t *testing.T, raw []byte) *string

func decoded[T any](text func(T) string) goValue {
	return func(t *testing.T, raw []byte) *string {
		t.Helper()
		var v *T
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if v == nil {
			return nil
		}
		s := text(*v)
		return &s
	}
}

func plain[T any](v T) string { return fmt.Sprint(v) }

var asString = decoded(plain[string])

// list writes an array as Postgres takes it.
func list[T any](text func(T) string) goValue { return listBy(",", text) }

func listBy[T any](delimiter string, text func(T) string) goValue {
	var write func(raw json.RawMessage) string
	write = func(raw json.RawMessage) string {
		if string(raw) == "null" {
			return "NULL"
		}
		var inner []json.RawMessage
		if json.Unmarshal(raw, &inner) == nil {
			parts := make([]string, len(inner))
			for i, p := range inner {
				parts[i] = write(p)
			}
			return "{" + strings.Join(parts, delimiter) + "}"
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			panic(err)
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text(v)) + `"`
	}
	return decoded(func(raw json.RawMessage) string { return write(raw) })
}

func byteaText(b []byte) string { return `\x` + hex.EncodeToString(b) }

var long = strings.Repeat("long tëxt \"quoted\" \\ ", 5000) // 100 kB and more

// every has each of Postgres' ordinary types with ugly values; null is added to all.
var every = []struct {
	kind   string
	decode goValue
	values []string
}{
	{"int2", decoded(plain[int16]), []string{"-32768", "0", "32767"}},
	{"int4", decoded(plain[int32]), []string{"-2147483648", "2147483647"}},
	{"int8", decoded(plain[int64]), []string{"-9223372036854775808", "9007199254740993", "9223372036854775807"}},
	{"oid", decoded(plain[uint32]), []string{"4294967295"}},
	{"float4", decoded(Float.String), []string{"1.5", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e+38", "1e-45"}},
	{"float8", decoded(Float.String), []string{"0.1", "NaN", "Infinity", "-Infinity", "1.7976931348623157e+308", "5e-324"}},
	{"numeric", asString, []string{"0", "0.00", "NaN", "Infinity", "-Infinity", "-123456789012345678901234567890.123456789000", "1e-50"}},
	{"numeric(12,2)", asString, []string{"0.10", "9999999999.99"}},
	{"money", asString, []string{"$1,234.56"}},
	{"bool", decoded(plain[bool]), []string{"true", "false"}},
	{"text", asString, []string{"", "NULL", "a\"b\\c\n\t\x01é漢😀", "{1,2}", long}},
	{"varchar(10)", asString, []string{"", "ten chars!"}},
	{"char(5)", asString, []string{"ab   "}},
	{`"char"`, asString, []string{"x"}},
	{"name", asString, []string{"pg_class"}},
	{"bytea", decoded(byteaText), []string{`\x`, `\x00ff5c22`}},
	{"date", decoded(Timestamp.String), []string{"2024-02-29", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "0001-01-01", "0001-12-31 BC"}},
	{"timestamp", decoded(Timestamp.String), []string{"2024-02-29 23:59:59.999999", "infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "1900-01-01 00:00:00"}},
	{"timestamptz", decoded(Timestamp.String), []string{"2024-07-01 12:00:00.5+05:30", "infinity", "-infinity", "4713-01-02 00:00:00+00 BC", "294276-12-31 23:59:59+00", "0044-03-15 12:00:00+00 BC"}},
	{"time", asString, []string{"00:00:00", "24:00:00", "23:59:59.999999"}},
	{"timetz", asString, []string{"12:34:56.789+14", "00:00:00-12:30"}},
	{"interval", asString, []string{"1 year 2 mons -3 days 04:05:06.789", "-178000000 years", "00:00:00"}},
	{"int2vector", asString, []string{"1 2 3"}},
	{"uuid", asString, []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}},
	{"json", asString, []string{`{"a" :  1, "a": [null]}`, `null`, `"text"`}},
	{"jsonb", asString, []string{`{"b": [1, 2.50, "\u0001"]}`, `null`}},
	{"xml", asString, []string{"<a>b</a>"}},
	{"inet", asString, []string{"10.0.0.1/8", "::1"}},
	{"cidr", asString, []string{"10.0.0.0/8"}},
	{"macaddr", asString, []string{"08:00:2b:01:02:03"}},
	{"bit(3)", asString, []string{"101"}},
	{"varbit", asString, []string{"", "1011"}},
	{"point", asString, []string{"(1.5,-2)"}},
	{"tsvector", asString, []string{"'fat':2 'rat':3"}},
	{"int4range", asString, []string{"[1,10)", "empty", "(,)"}},
	{"mood", asString, []string{"sad", "very \"happy\""}},
	{"pair", asString, []string{`(1,"a,b")`}},
	{"posint", decoded(plain[int32]), []string{"7"}},
	{"codes", list(plain[string]), []string{"{a,b}"}},
	{"int4[]", list(plain[int64]), []string{"{}", "{1,NULL,3}", "{{1,2},{3,4}}"}},
	{"text[]", list(plain[string]), []string{`{"",NULL,"NULL","a,b","\"q\"","{x}","back\\slash"}`}},
	{"numeric[]", list(plain[string]), []string{"{NaN,1.10}"}},
	{"float8[]", list(Float.String), []string{"{NaN,Infinity,0.1}"}},
	{"bool[]", list(plain[bool]), []string{"{t,f,NULL}"}},
	{"bytea[]", list(byteaText), []string{`{"\\x00ff",NULL}`}},
	{"timestamptz[]", list(Timestamp.String), []string{`{"2024-07-01 12:00:00+00",infinity,NULL}`}},
	{"mood[]", list(plain[string]), []string{`{sad,"very \"happy\""}`}},
	{"uuid[]", list(plain[string]), []string{"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"}},
	{"posint[]", list(plain[int64]), []string{"{1,2}"}},
	{"int4[]", asString, []string{"[0:1]={5,6}"}},                                // bounds have no place in a JSON array
	{"box[]", listBy(";", plain[string]), []string{"{(2,2),(1,1);(4,4),(3,3)}"}}, // the one type whose elements are delimited otherwise
}

// TestEveryTypeGoesThroughToGoAndBack reads each value through the snapshot and through the stream, and holds what Go would send back against Postgres' own
// text.
func TestEveryTypeGoesThroughToGoAndBack(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TYPE mood AS ENUM ('sad', 'very "happy"'); CREATE TYPE pair AS (a int, b text);
		CREATE DOMAIN posint AS int4 CHECK (VALUE > 0); CREATE DOMAIN codes AS text[];`)
	for i, c := range every {
		w.exec(fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, touched int, v %s)", i, c.kind))
		w.exec(fmt.Sprintf("INSERT INTO t%d VALUES (0, 0, NULL)", i))
		for j, v := range c.values {
			w.exec(fmt.Sprintf("INSERT INTO t%d VALUES (%d, 0, $1::text::%s)", i, j+1, c.kind), v)
		}
	}
	r := w.run(w.config("t*"))
	w.caughtUp(r)
	check := func(t *testing.T, i int, touched int) {
		c := every[i]
		state := w.state(fmt.Sprintf("public.t%d", i))
		for j := range len(c.values) + 1 {
			text := state[fmt.Sprintf(`{"id":%d}`, j)]
			var row struct {
				Touched int
				V       json.RawMessage
			}
			if err := json.Unmarshal([]byte(text), &row); err != nil {
				t.Fatalf("row %d is %q: %v", j, text, err)
			}
			if row.Touched != touched {
				t.Errorf("row %d is of touch %d, want %d", j, row.Touched, touched)
			}
			var same bool
			var have, back *string
			if v := c.decode(t, row.V); v != nil {
				back = v
			}
			err := w.db.QueryRow(t.Context(), fmt.Sprintf("SELECT v::text IS NOT DISTINCT FROM $1::text::%s::text, v::text FROM t%d WHERE id = %d", c.kind, i, j), back).Scan(&same, &have)
			if err != nil {
				t.Fatalf("row %d (%s): %v", j, row.V, err)
			}
			if !same {
				t.Errorf("row %d: Postgres has %.80q, Go says %.80q from JSON %.80s", j, deref(have), deref(back), row.V)
			}
		}
	}
	for i, c := range every {
		t.Run("snapshot/"+c.kind, func(t *testing.T) { check(t, i, 0) })
	}
	for i := range every {
		w.exec(fmt.Sprintf("ALTER TABLE t%d REPLICA IDENTITY FULL", i)) // large values are told too
		w.exec(fmt.Sprintf("UPDATE t%d SET touched = 1", i))
	}
	w.caughtUp(r)
	for i, c := range every {
		t.Run("stream/"+c.kind, func(t *testing.T) { check(t, i, 1) })
	}
}

func deref(s *string) string {
	if s == nil {
		return "(null)"
	}
	return *s
}

func TestUnchangedLargeValueIsNotNull(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE doc (id int PRIMARY KEY, n int, body text, other text);
		ALTER TABLE doc ALTER body SET STORAGE EXTERNAL; ALTER TABLE doc ALTER other SET STORAGE EXTERNAL;`)
	w.exec("INSERT INTO doc VALUES (1, 1, $1, NULL)", long)
	r := w.run(w.config("doc"))
	w.caughtUp(r)
	w.exec("UPDATE doc SET n = 2")
	w.caughtUp(r)
	all := w.records("public.doc")
	var c Change[map[string]json.RawMessage]
	if err := json.Unmarshal(all[len(all)-1].Value, &c); err != nil {
		t.Fatal(err)
	}
	if _, told := (*c.After)["body"]; told || len(c.Unchanged) != 1 || c.Unchanged[0] != "body" || string((*c.After)["other"]) != "null" {
		t.Errorf("the update is %.300s", all[len(all)-1].Value)
	}
	w.exec("ALTER TABLE doc REPLICA IDENTITY FULL")
	w.exec("UPDATE doc SET n = 3")
	w.caughtUp(r)
	all = w.records("public.doc")
	c = Change[map[string]json.RawMessage]{}
	if err := json.Unmarshal(all[len(all)-1].Value, &c); err != nil {
		t.Fatal(err)
	}
	var body string
	if err := json.Unmarshal((*c.After)["body"], &body); err != nil || body != long || len(c.Unchanged) != 0 {
		t.Errorf("with a full replica identity the update tells %d bytes, %v, unchanged %v", len(body), err, c.Unchanged)
	}
	if string((*c.Before)["n"]) != "2" {
		t.Errorf("the row was %s", (*c.Before)["n"])
	}
}
