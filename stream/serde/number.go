package serde

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The numbers, as Kafka's serializers of the same names in Java write them: big-endian, two's complement or IEEE 754, of fixed size.
var (
	Int16   Serde[int16]   = int16Serde{}   // Kafka's Short, 2 bytes
	Int32   Serde[int32]   = int32Serde{}   // Kafka's Integer, 4 bytes
	Int64   Serde[int64]   = int64Serde{}   // Kafka's Long, 8 bytes
	Float32 Serde[float32] = float32Serde{} // Kafka's Float, 4 bytes
	Float64 Serde[float64] = float64Serde{} // Kafka's Double, 8 bytes
	Bool    Serde[bool]    = boolSerde{}    // Kafka's Boolean, 1 byte, 0 or 1
)

type (
	int16Serde   struct{}
	int32Serde   struct{}
	int64Serde   struct{}
	float32Serde struct{}
	float64Serde struct{}
	boolSerde    struct{}
)

// checkSize reports an encoding that is not of the one size that its type has.
func checkSize(kind string, b []byte, want int) error {
	if len(b) == want {
		return nil
	}
	return fmt.Errorf("serde: %s: %d bytes, want %d", kind, len(b), want)
}

func (int16Serde) Append(dst []byte, v int16) ([]byte, error) {
	return binary.BigEndian.AppendUint16(dst, uint16(v)), nil
}

func (int16Serde) Decode(b []byte) (int16, error) {
	if err := checkSize("int16", b, 2); err != nil {
		return 0, err
	}
	return int16(binary.BigEndian.Uint16(b)), nil
}

func (int32Serde) Append(dst []byte, v int32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, uint32(v)), nil
}

func (int32Serde) Decode(b []byte) (int32, error) {
	if err := checkSize("int32", b, 4); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (int64Serde) Decode(b []byte) (int64, error) {
	if err := checkSize("int64", b, 8); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func (float32Serde) Append(dst []byte, v float32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(v)), nil
}

func (float32Serde) Decode(b []byte) (float32, error) {
	if err := checkSize("float32", b, 4); err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(b)), nil
}

func (float64Serde) Append(dst []byte, v float64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), nil
}

func (float64Serde) Decode(b []byte) (float64, error) {
	if err := checkSize("float64", b, 8); err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (boolSerde) Append(dst []byte, v bool) ([]byte, error) {
	if v {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (boolSerde) Decode(b []byte) (bool, error) {
	if err := checkSize("bool", b, 1); err != nil {
		return false, err
	}
	if b[0] > 1 {
		return false, fmt.Errorf("serde: bool: byte %#02x, want 0 or 1", b[0])
	}
	return b[0] == 1, nil
}
