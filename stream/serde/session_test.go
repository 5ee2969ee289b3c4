package serde

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestSessionKeysAreKafkas holds the bytes against those that Kafka Streams wrote for key "a" and the session from 10 to 21.
func TestSessionKeysAreKafkas(t *testing.T) {
	s := SessionWindowed(String)
	w := Windowed[string]{Key: "a", Start: 10, End: 21}
	b, err := s.Append([]byte("dst"), w)
	if have := hex.EncodeToString(b); have != "64737461000000000000001500000000"+"0000000a" || err != nil {
		t.Fatalf("encoded %s, %v", have, err)
	}
	b = b[len("dst"):]
	if have, err := s.Decode(b); have != w || err != nil {
		t.Errorf("decoded %+v, %v, want %+v", have, err, w)
	}
	pk := s.(interface{ PartitionKey([]byte) []byte })
	if string(pk.PartitionKey(b)) != "a" {
		t.Errorf("partitioned by %q, want the inner key", pk.PartitionKey(b))
	}
	for _, bad := range []string{"short", "k\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01", "k\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"} {
		if _, err := s.Decode([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "serde: session key: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := SessionWindowed(Int64).Decode(append([]byte("123"), b[1:]...)); err == nil || err.Error() != "serde: session key: serde: int64: 3 bytes, want 8" {
		t.Errorf("an inner key of 3 bytes: %v", err)
	}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Append(buf, w) }); n != 0 {
		t.Errorf("%v allocations to encode, want none", n)
	}
}
