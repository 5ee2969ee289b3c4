package serde

import (
	"encoding/hex"
	"math"
	"testing"
	"time"
)

// TestTimeWindowedIsKafkaStreams: the key, then the start as 8 big-endian bytes.
func TestTimeWindowedIsKafkaStreams(t *testing.T) {
	s := TimeWindowed(String, 10*time.Millisecond)
	w := Windowed[string]{Key: "a", Start: 20, End: 30}
	b, err := s.Append([]byte("x"), w)
	if err != nil || hex.EncodeToString(b) != "78"+"61"+"0000000000000014" {
		t.Fatalf("encoded %x, %v", b, err)
	}
	if have, err := s.Decode(b[1:]); err != nil || have != w {
		t.Errorf("decoded %+v, %v", have, err)
	}
	part := s.(interface{ PartitionKey([]byte) []byte }).PartitionKey(b[1:])
	if string(part) != "a" {
		t.Errorf("partitioned by %q, want the inner key alone", part)
	}
	last, err := s.Append(nil, Windowed[string]{Key: "", Start: math.MaxInt64 - 3})
	if err != nil {
		t.Fatal(err)
	}
	if have, err := s.Decode(last); err != nil || have.End != math.MaxInt64 {
		t.Errorf("the last window ends at %d, %v", have.End, err)
	}
}

func TestTimeWindowedRefusesGarbage(t *testing.T) {
	for name, c := range map[string]struct{ hex, want string }{
		"short":          {"61", "serde: windowed key: 1 bytes, want 8 or more"},
		"negative start": {"61ffffffffffffffff", "serde: windowed key: negative start -1"},
		"inner key":      {"610000000000000000", "serde: windowed key: serde: int64: 1 bytes, want 8"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := TimeWindowed(Int64, time.Second).Decode(b); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
