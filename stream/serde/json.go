package serde

import (
	"encoding/json"
	"fmt"
)

// JSON encodes T with encoding/json. A JSON text `null` decodes to what encoding/json makes of it, usually the zero value; a null record never gets here.
func JSON[T any]() Serde[T] { return jsonSerde[T]{} }

type jsonSerde[T any] struct{}

func (jsonSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("serde: json: encode %T: %w", v, err)
	}
	return append(dst, b...), nil
}

func (jsonSerde[T]) Decode(b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("serde: json: decode %T: %w", zero, err)
	}
	return v, nil
}
