package serde

import (
	"errors"
	"reflect"
	"unsafe"
)

// Nullable makes a serde of *T from one of T: nil is null, everything else is what it points to. Each Decode allocates a T.
func Nullable[T any](of Serde[T]) Serde[*T] { return nullable[T]{of} }

type nullable[T any] struct{ of Serde[T] }

// errNull reports a caller that encodes null, which has no bytes.
var errNull = errors.New("serde: null has no encoding")

func (n nullable[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, errNull
	}
	return n.of.Append(dst, *v)
}

func (n nullable[T]) Decode(b []byte) (*T, error) {
	v, err := n.of.Decode(b)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// NullCheck returns the function that tells whether a value of T is null, or nil when no value of T is: null are nil pointers, slices, maps, interfaces,
// functions and channels, and values whose method IsNull says so. The function makes no allocation.
func NullCheck[T any]() func(*T) bool {
	type isNuller interface{ IsNull() bool }
	t := reflect.TypeFor[T]()
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		// The first word of all these is nil exactly when the value is nil. A slice that is empty but not nil points somewhere.
		return func(v *T) bool { return *(*unsafe.Pointer)(unsafe.Pointer(v)) == nil }
	}
	if _, ok := any((*T)(nil)).(isNuller); ok {
		// The method set of *T has T's methods too, and a pointer fits in an interface without an allocation.
		return func(v *T) bool { return any(v).(isNuller).IsNull() }
	}
	return nil
}
