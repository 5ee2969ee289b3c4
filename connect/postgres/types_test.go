package postgres

import (
	"encoding/json"
	"strings"
	"testing"
)

func arrayOf(kind columnKind) *columnType {
	return &columnType{name: "_t", kind: kindArray, delimiter: ',', element: &columnType{name: "t", kind: kind}}
}

func TestTextFormsBecomeJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		kind *columnType
		text string
		want string
	}{
		{"int8 keeps all digits", &columnType{kind: kindInteger}, "-9223372036854775808", "-9223372036854775808"},
		{"float", &columnType{kind: kindFloat}, "1e+300", "1e+300"},
		{"float nan", &columnType{kind: kindFloat}, "NaN", `"NaN"`},
		{"float infinity", &columnType{kind: kindFloat}, "-Infinity", `"-Infinity"`},
		{"bool", &columnType{kind: kindBool}, "t", "true"},
		{"text with everything", &columnType{kind: kindText}, "a\"\\\n\t\r\x01é\u2028", `"a\"\\\n\t\r\u0001é\u2028"`},
		{"numeric", &columnType{kind: kindText}, "12.340", `"12.340"`},
		{"bytea", &columnType{kind: kindBytes}, `\x00ff10`, `"AP8Q"`},
		{"empty bytea", &columnType{kind: kindBytes}, `\x`, `""`},
		{"timestamp", &columnType{kind: kindTimestamp}, "2024-02-29 23:59:59.999999", `"2024-02-29T23:59:59.999999"`},
		{"timestamptz", &columnType{kind: kindTimestampTZ}, "2024-02-29 23:59:59.5+00", `"2024-02-29T23:59:59.5Z"`},
		{"timestamptz before Christ", &columnType{kind: kindTimestampTZ}, "4713-01-01 00:00:00+00 BC", `"4713-01-01 00:00:00+00 BC"`},
		{"timestamptz far away", &columnType{kind: kindTimestampTZ}, "294276-12-31 23:59:59+00", `"294276-12-31 23:59:59+00"`},
		{"timestamp infinity", &columnType{kind: kindTimestamp}, "infinity", `"infinity"`},
		{"array", arrayOf(kindInteger), "{1,NULL,3}", "[1,null,3]"},
		{"empty array", arrayOf(kindInteger), "{}", "[]"},
		{"nested array", arrayOf(kindText), `{{a,"b,c"},{"\"","NULL"}}`, `[["a","b,c"],["\"","NULL"]]`},
		{"array of empty text", arrayOf(kindText), `{""}`, `[""]`},
		{"array with bounds", arrayOf(kindInteger), "[0:1]={1,2}", `"[0:1]={1,2}"`},
		{"array of bytea", arrayOf(kindBytes), `{"\\x01",NULL}`, `["AQ==",null]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.kind.appendJSON([]byte("x"), []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "x"+c.want {
				t.Errorf("%s became %s, want %s", c.text, got[1:], c.want)
			}
			if !json.Valid(got[1:]) {
				t.Errorf("%s is not JSON", got[1:])
			}
		})
	}
}

func TestBrokenArraysAreRefused(t *testing.T) {
	for _, text := range []string{"", "1", "{", "{1", "{1,", "{1,}", "{,1}", `{"a`, `{"a\`, "{1}2", "{{1}", strings.Repeat("{", 7) + strings.Repeat("}", 7), `{""}`} {
		if got, err := arrayOf(kindInteger).appendJSON(nil, []byte(text)); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

func FuzzArray(f *testing.F) {
	for _, s := range []string{"{1,NULL,3}", `{{a,"b,c"},{"\"","NULL"}}`, "[0:1]={1,2}", `{"a\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := arrayOf(kindText).appendJSON(nil, text)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q became %q, which is not JSON", text, got)
		}
		if len(got) > 6*len(text)+16 { // \u0001 is the longest form of a byte; null is as long as NULL
			t.Errorf("%d bytes became %d", len(text), len(got))
		}
	})
}
