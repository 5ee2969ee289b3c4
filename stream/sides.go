package stream

// Sides says which of a join's two sides are there, for the functions of outer joins. A side that is not is the zero value.
type Sides int8

const (
	BothSides Sides = iota
	LeftOnly
	RightOnly
)

// Left reports whether the left side is there.
func (s Sides) Left() bool { return s != RightOnly }

// Right reports whether the right side is there.
func (s Sides) Right() bool { return s != LeftOnly }

func (s Sides) String() string {
	switch s {
	case LeftOnly:
		return "left only"
	case RightOnly:
		return "right only"
	}
	return "both sides"
}

// SidesOf is internal: it tells apart what is there. One side at least must be.
func SidesOf(left, right bool) Sides {
	switch {
	case !right:
		return LeftOnly
	case !left:
		return RightOnly
	}
	return BothSides
}
