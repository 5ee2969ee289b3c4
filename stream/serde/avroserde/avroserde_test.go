package avroserde_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"github.com/millrace-io/millrace/stream/serde"
	"github.com/millrace-io/millrace/stream/serde/avroserde"
)

type user struct {
	Name string `avro:"name"`
	Age  int64  `avro:"age"`
}

var userSchema = avro.MustSchemaFor[user]()

func TestBytesAreAvros(t *testing.T) {
	s := avroserde.Of[user](userSchema)
	b, err := s.Append([]byte("dst"), user{"Ann", 33})
	// A string is its length and bytes, a long a zig-zag number: 3 is 06, 33 is 42.
	if have := hex.EncodeToString(b); have != "647374"+"06416e6e42" || err != nil {
		t.Fatalf("encoded %s, %v", have, err)
	}
	in := b[3:]
	v, err := s.Decode(in)
	for i := range in {
		in[i] = 0xee // the serde may not keep it
	}
	if v != (user{"Ann", 33}) || err != nil {
		t.Errorf("decoded %+v, %v", v, err)
	}
}

func TestPointersAndNull(t *testing.T) {
	s := avroserde.Of[*user](userSchema)
	b, err := s.Append(nil, &user{"Ann", 33})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Decode(b); err != nil || v == nil || *v != (user{"Ann", 33}) {
		t.Errorf("decoded %+v, %v", v, err)
	}
	if b, err := s.Append([]byte("kept"), nil); err == nil || string(b) != "kept" {
		t.Errorf("nil encodes to %q, %v, want an error and dst", b, err)
	}
}

func TestFramesNameTheirSchema(t *testing.T) {
	older := avro.MustParse(`{"type": "record", "name": "user", "fields": [{"name": "age", "type": "int"}, {"name": "name", "type": "string"}]}`)
	asked := 0
	s := avroserde.Framed[user](userSchema, 7, func(id uint32) (*avro.Schema, error) {
		asked++
		switch id {
		case 5:
			return older, nil
		case 6:
			return avro.MustParse(`"string"`), nil
		case 8:
			return nil, nil
		}
		return nil, errors.New("the registry is down")
	})
	b, err := s.Append([]byte("dst"), user{"Ann", 33})
	if have := hex.EncodeToString(b); have != "647374"+"0000000007"+"06416e6e42" || err != nil {
		t.Fatalf("encoded %s, %v", have, err)
	}
	if v, err := s.Decode(b[3:]); v != (user{"Ann", 33}) || err != nil {
		t.Errorf("decoded %+v, %v", v, err)
	}
	if asked != 0 {
		t.Error("the own schema was looked up")
	}
	for range 2 {
		if v, err := s.Decode([]byte("\x00\x00\x00\x00\x05\x42\x06Ann")); v != (user{"Ann", 33}) || err != nil {
			t.Errorf("decoded %+v, %v of the older schema", v, err)
		}
	}
	if asked != 1 {
		t.Errorf("the older schema was looked up %d times, want once", asked)
	}
	refuse(t, s, "\x00\x00\x00\x00\x06\x42", "schema 6")
	refuse(t, s, "\x00\x00\x00\x00\x08\x42", "schema 8 is not known")
	refuse(t, s, "\x00\x00\x00\x00\x09\x42", "the registry is down")
	refuse(t, s, "\x00\x00\x00\x00", "4 bytes without the frame")
	refuse(t, s, "\x01\x00\x00\x00\x07\x06Ann\x42", "without the frame")
	refuse(t, avroserde.Framed[user](userSchema, 7, nil), "\x00\x00\x00\x00\x08\x42", "schema 8 is not known")
}

func TestErrorsAreSentences(t *testing.T) {
	s := avroserde.Of[user](userSchema)
	refuse(t, s, "", "avroserde: decode avroserde_test.user: ")
	refuse(t, s, "\x06Ann\x42x", "1 bytes after the value")
	refuse(t, avroserde.Of[user](nil), "\x06Ann\x42", "there is no schema")
	if b, err := avroserde.Of[user](nil).Append([]byte("kept"), user{}); err == nil || string(b) != "kept" {
		t.Errorf("without a schema: %q, %v", b, err)
	}
	if b, err := avroserde.Of[chan int](userSchema).Append([]byte("kept"), nil); err == nil || string(b) != "kept" {
		t.Errorf("a channel encodes to %q, %v", b, err)
	}
}

func refuse[T any](t *testing.T, s serde.Serde[T], in, want string) {
	t.Helper()
	if v, err := s.Decode([]byte(in)); err == nil || !strings.HasPrefix(err.Error(), "avroserde: ") || !strings.Contains(err.Error(), want) {
		t.Errorf("%q decodes to %+v, %v, want an error with %q", in, v, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x06Ann\x42"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	s := avroserde.Of[user](userSchema)
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := s.Decode(in)
		if err != nil {
			return
		}
		b, err := s.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.Decode(b); again != v || err != nil {
			t.Errorf("%+v came back as %+v, %v", v, again, err)
		}
	})
}
