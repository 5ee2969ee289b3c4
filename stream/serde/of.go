package serde

// Of returns the serde that follows from a type, where there is one answer: [String], [Bytes], [Bool] and the numbers. For any other type it returns nil, and a topic or
// store that is given it is an error of Build: a struct could be JSON, Avro or Protobuf, and a type of one's own may mean something by its bytes.
func Of[T any]() Serde[T] {
	var found any
	switch any((*T)(nil)).(type) {
	case *string:
		found = String
	case *[]byte:
		found = Bytes
	case *bool:
		found = Bool
	case *int16:
		found = Int16
	case *int32:
		found = Int32
	case *int64:
		found = Int64
	case *float32:
		found = Float32
	case *float64:
		found = Float64
	}
	s, _ := found.(Serde[T])
	return s
}
