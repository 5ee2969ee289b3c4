package serde

import "testing"

func follows[T comparable](t *testing.T, want Serde[T], values ...T) {
	t.Helper()
	s := Of[T]()
	if s != want {
		t.Fatalf("the serde of %T is %T, want %T", *new(T), s, want)
	}
	for _, v := range values {
		b, err := s.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if have, err := s.Decode(b); err != nil || have != v {
			t.Errorf("%v comes back as %v, %v", v, have, err)
		}
	}
}

// TestSerdesFollowFromTypes where there is one answer, and only there.
func TestSerdesFollowFromTypes(t *testing.T) {
	follows(t, String, "", "a")
	follows(t, Bool, true, false)
	follows(t, Int16, -1, 7)
	follows(t, Int32, -1, 7)
	follows(t, Int64, -1, 7)
	follows(t, Float32, 0.5)
	follows(t, Float64, 0.5)
	if s := Of[[]byte](); s != Bytes {
		t.Errorf("the serde of bytes is %T", s)
	}
	type name string
	if s := Of[name](); s != nil {
		t.Errorf("a type of one's own has the serde %T, want none", s)
	}
	if s := Of[struct{ A int }](); s != nil {
		t.Errorf("a struct has the serde %T, want none", s)
	}
	if s := Of[int](); s != nil {
		t.Errorf("an int, whose size depends on the machine, has the serde %T, want none", s)
	}
	if s := Of[[16]byte](); s != nil {
		t.Errorf("16 bytes, which need not be a UUID, have the serde %T, want none", s)
	}
}
