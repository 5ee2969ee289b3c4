package ktable

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// TestChangesAreKafkaStreams holds the bytes against those that Kafka Streams wrote.
func TestChangesAreKafkaStreams(t *testing.T) {
	s := changeSerde[string]{serde.String}
	long := strings.Repeat("n", 100) // its length takes two bytes
	for _, c := range []struct {
		change topology.Change[string]
		want   string
	}{
		{topology.Change[string]{New: "x1", HasNew: true}, "783101"},
		{topology.Change[string]{Old: "x1", HasOld: true}, "783100"},
		{topology.Change[string]{New: "y2", HasNew: true, Old: "y1", HasOld: true}, "047932793102"},
		{topology.Change[string]{HasNew: true, HasOld: true}, "0002"},
		{topology.Change[string]{New: long, HasNew: true, Old: "o", HasOld: true}, "c801" + hex.EncodeToString([]byte(long+"o")) + "02"},
	} {
		b, err := s.Append([]byte("dst"), c.change)
		if have := hex.EncodeToString(b); have != "647374"+c.want || err != nil {
			t.Errorf("%+v is %s, %v, want %s", c.change, have, err, c.want)
			continue
		}
		if have, err := s.Decode(b[len("dst"):]); have != c.change || err != nil {
			t.Errorf("%s is %+v, %v", c.want, have, err)
		}
	}
}

func TestDamagedChangesAreErrors(t *testing.T) {
	s := changeSerde[int64]{serde.Int64}
	for _, b := range []string{"", "00", "0103", "2002", "ffffffffffffffffffff02", "0102", "100000000000000001" + "02"} {
		raw, err := hex.DecodeString(b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := s.Decode(raw); err == nil {
			t.Errorf("%q is %+v", b, c)
		}
	}
	if b, err := s.Append([]byte("dst"), topology.Change[int64]{}); err == nil || string(b) != "dst" {
		t.Errorf("nothing is %q, %v", b, err)
	}
}
