package serde

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// TestBytesAreKafkas holds each encoding against what Kafka's serializer of that type writes.
func TestBytesAreKafkas(t *testing.T) {
	kafkas(t, "Int16", Int16, map[int16]string{1: "0001", -2: "fffe", math.MaxInt16: "7fff", math.MinInt16: "8000"})
	kafkas(t, "Int32", Int32, map[int32]string{1: "00000001", -2: "fffffffe", math.MinInt32: "80000000"})
	kafkas(t, "Int64", Int64, map[int64]string{42: "000000000000002a", -1: "ffffffffffffffff", math.MaxInt64: "7fffffffffffffff"})
	kafkas(t, "Float32", Float32, map[float32]string{1: "3f800000", -0.5: "bf000000", float32(math.Inf(1)): "7f800000"})
	kafkas(t, "Float64", Float64, map[float64]string{1: "3ff0000000000000", -0.5: "bfe0000000000000", math.Inf(-1): "fff0000000000000"})
	kafkas(t, "Bool", Bool, map[bool]string{true: "01", false: "00"})
	kafkas(t, "String", String, map[string]string{"": "", "héé": "68c3a9c3a9", "\x00\xff": "00ff"})
	kafkas(t, "UUID", UUID, map[[16]byte]string{
		{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0}: hex.EncodeToString([]byte("123e4567-e89b-12d3-a456-426614174000"))})
	kafkas(t, "JSON", JSON[struct{ A int }](), map[struct{ A int }]string{{7}: hex.EncodeToString([]byte(`{"A":7}`))})
}

func kafkas[T comparable](t *testing.T, name string, s Serde[T], want map[T]string) {
	t.Helper()
	for v, text := range want {
		b, err := s.Append([]byte("dst"), v)
		if err != nil || !bytes.HasPrefix(b, []byte("dst")) || hex.EncodeToString(b[3:]) != text {
			t.Errorf("%s of %v: %x, %v, want dst and %s", name, v, b, err, text)
			continue
		}
		in := bytes.Clone(b[3:])
		got, err := s.Decode(in)
		for i := range in {
			in[i] = 0xee // the serde may not keep it
		}
		if err != nil || got != v {
			t.Errorf("%s: %s decodes to %v, %v, want %v", name, text, got, err, v)
		}
	}
}

func TestBytesAreCopied(t *testing.T) {
	in := []byte("abc")
	out, err := Bytes.Decode(in)
	in[0] = 'x'
	if err != nil || string(out) != "abc" {
		t.Errorf("decoded %q, %v after the input changed, want abc", out, err)
	}
	if out, _ := Bytes.Decode([]byte{}); out == nil {
		t.Error("empty bytes decode to nil, which is null")
	}
	if b, err := Bytes.Append([]byte("a"), []byte("b")); string(b) != "ab" || err != nil {
		t.Errorf("append: %q, %v", b, err)
	}
}

func TestNaNKeepsItsBits(t *testing.T) {
	bits := uint64(0x7ff8000000000123)
	b, _ := Float64.Append(nil, math.Float64frombits(bits))
	if got, err := Float64.Decode(b); err != nil || math.Float64bits(got) != bits {
		t.Errorf("NaN came back as %x, %v", math.Float64bits(got), err)
	}
}

func TestUUIDTakesUpperCaseAndOwnTypes(t *testing.T) {
	type id [16]byte
	const text = "123E4567-E89B-12D3-A456-4266141740FF"
	v, err := UUIDOf[id]().Decode([]byte(text))
	if err != nil || v[15] != 0xff {
		t.Fatalf("%s: %x, %v", text, v, err)
	}
	if b, err := UUIDOf[id]().Append(nil, v); string(b) != strings.ToLower(text) || err != nil {
		t.Errorf("came back as %s, %v", b, err)
	}
}

func TestDecodeErrorsAreSentences(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{decode(Int64, "12345"), "serde: int64: 5 bytes, want 8"},
		{decode(Int32, ""), "serde: int32: 0 bytes, want 4"},
		{decode(Int16, "123"), "serde: int16: 3 bytes, want 2"},
		{decode(Float64, "1"), "serde: float64: 1 bytes, want 8"},
		{decode(Float32, "12345"), "serde: float32: 5 bytes, want 4"},
		{decode(Bool, ""), "serde: bool: 0 bytes, want 1"},
		{decode(Bool, "\x02"), "serde: bool: byte 0x02, want 0 or 1"},
		{decode(UUID, "123"), "serde: uuid: 3 bytes, want 36"},
		{decode(UUID, "123e4567+e89b-12d3-a456-426614174000"), "serde: uuid: '+' at byte 8, want a hyphen"},
		{decode(UUID, "123e4567-e89b-12d3-a456-4266141740zz"), "serde: uuid: digits at byte 24: encoding/hex: invalid byte: U+007A 'z'"},
		{decode(Nullable(Int16), "1"), "serde: int16: 1 bytes, want 2"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("error %q, want %q", test.err, test.want)
		}
	}
	if err := decode(JSON[int](), "{"); err == nil || !strings.HasPrefix(err.Error(), "serde: json: decode int: ") {
		t.Errorf("JSON error %q", err)
	}
	if dst, err := JSON[chan int]().Append([]byte("kept"), nil); err == nil || string(dst) != "kept" {
		t.Errorf("encoding a channel: %q, %v, want an error and dst", dst, err)
	}
}

func decode[T any](s Serde[T], text string) error {
	_, err := s.Decode([]byte(text))
	return err
}

func TestNullable(t *testing.T) {
	s := Nullable(Int32)
	v := int32(7)
	b, err := s.Append(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Decode(b); err != nil || *got != 7 {
		t.Errorf("came back as %v, %v", got, err)
	}
	if b, err := s.Append([]byte("kept"), nil); err == nil || string(b) != "kept" {
		t.Errorf("null encodes to %q, %v, want an error", b, err)
	}
}

// maybe is null by its method.
type maybe struct{ set bool }

func (m maybe) IsNull() bool { return !m.set }

func TestNullCheck(t *testing.T) {
	checkNull(t, nil, new(int))
	checkNull(t, []byte(nil), []byte{})
	checkNull(t, map[string]int(nil), map[string]int{})
	checkNull[error](t, nil, fmt.Errorf("set"))
	checkNull[any](t, nil, (*int)(nil)) // an interface that holds a nil pointer is not nil
	checkNull(t, maybe{}, maybe{true})
	for name, check := range map[string]bool{
		"int": NullCheck[int]() == nil, "string": NullCheck[string]() == nil, "array": NullCheck[[0]byte]() == nil, "struct": NullCheck[struct{}]() == nil,
	} {
		if !check {
			t.Errorf("a value of type %s can be null", name)
		}
	}
}

func checkNull[T any](t *testing.T, null, set T) {
	t.Helper()
	isNull := NullCheck[T]()
	if isNull == nil {
		t.Fatalf("%s has no null", reflect.TypeFor[T]())
	}
	if !isNull(&null) || isNull(&set) {
		t.Errorf("%s: %v is null: %v, %v is null: %v", reflect.TypeFor[T](), null, isNull(&null), set, isNull(&set))
	}
	if n := testing.AllocsPerRun(100, func() { isNull(&set) }); n != 0 {
		t.Errorf("%s: the check makes %v allocations", reflect.TypeFor[T](), n)
	}
}

func TestNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 64)
	id, data := [16]byte{1}, []byte("data")
	var encoded [8]byte
	for name, f := range map[string]func(){
		"Int16":   func() { _, _ = Int16.Append(buf, 1) },
		"Int32":   func() { _, _ = Int32.Append(buf, 1) },
		"Int64":   func() { _, _ = Int64.Append(buf, 1) },
		"Float32": func() { _, _ = Float32.Append(buf, 1) },
		"Float64": func() { _, _ = Float64.Append(buf, 1) },
		"Bool":    func() { _, _ = Bool.Append(buf, true) },
		"String":  func() { _, _ = String.Append(buf, "text") },
		"Bytes":   func() { _, _ = Bytes.Append(buf, data) },
		"UUID":    func() { _, _ = UUID.Append(buf, id) },
		"decode":  func() { _, _ = Int64.Decode(encoded[:]) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("123e4567-e89b-12d3-a456-426614174000"))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		roundTrip(t, Int64, b)
		roundTrip(t, Int32, b)
		roundTrip(t, Int16, b)
		roundTrip(t, Float64, b)
		roundTrip(t, Float32, b)
		roundTrip(t, Bool, b)
		roundTrip(t, String, b)
		roundTrip(t, Bytes, b)
		if v, err := UUID.Decode(b); err == nil {
			if got, _ := UUID.Append(nil, v); !bytes.EqualFold(got, b) {
				t.Errorf("uuid %q comes back as %q", b, got)
			}
		}
	})
}

// roundTrip checks that what decodes encodes to the same bytes.
func roundTrip[T any](t *testing.T, s Serde[T], b []byte) {
	t.Helper()
	v, err := s.Decode(b)
	if err != nil {
		return
	}
	if got, err := s.Append(nil, v); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%T: %x comes back as %x, %v", s, b, got, err)
	}
}

func ExampleInt64() {
	b, _ := Int64.Append(nil, 42)
	fmt.Printf("%x\n", b)
	_, err := Int64.Decode(b[:5])
	fmt.Println(err)
	// Output:
	// 000000000000002a
	// serde: int64: 5 bytes, want 8
}
