package postgres

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Float is a real or double precision that may be NaN or infinite, which JSON has no numbers for.
type Float float64

// String is the value as Postgres takes it.
func (f Float) String() string {
	switch v := float64(f); {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	default:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
}

// MarshalJSON writes a number where there is one, else the name.
func (f Float) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return json.Marshal(f.String())
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON reads what MarshalJSON and the connector write.
func (f *Float) UnmarshalJSON(b []byte) error {
	var number float64
	if json.Unmarshal(b, &number) == nil {
		*f = Float(number)
		return nil
	}
	var name string
	if err := json.Unmarshal(b, &name); err != nil {
		return fmt.Errorf("postgres: float %s: %w", b, err)
	}
	switch name {
	case "NaN", "Infinity", "-Infinity":
		v, err := strconv.ParseFloat(name, 64)
		*f = Float(v)
		return err
	}
	return fmt.Errorf("postgres: float %q", name)
}
