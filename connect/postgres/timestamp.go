package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Timestamp is a date, timestamp or timestamp with time zone as Postgres has them: infinity and the years from 4713 BC to 294276 AD included, which
// time.Time's JSON form does not have. A value without a zone is in UTC.
type Timestamp struct {
	Time     time.Time // when Infinity is 0
	Infinity int8      // 1 for infinity, -1 for -infinity
}

// String is the value as Postgres takes it.
func (t Timestamp) String() string {
	switch {
	case t.Infinity > 0:
		return "infinity"
	case t.Infinity < 0:
		return "-infinity"
	}
	u := t.Time.UTC()
	year, suffix := u.Year(), ""
	if year < 1 {
		year, suffix = 1-year, " BC"
	}
	return fmt.Sprintf("%04d-%s+00%s", year, u.Format("01-02 15:04:05.999999"), suffix)
}

// MarshalJSON writes RFC 3339 where it can say the value, else Postgres' form.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	if year := t.Time.UTC().Year(); t.Infinity == 0 && year >= 1 && year <= 9999 {
		return json.Marshal(t.Time.UTC().Format(time.RFC3339Nano))
	}
	return json.Marshal(t.String())
}

// UnmarshalJSON reads what the connector writes for all the types with a date.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("postgres: timestamp: %w", err)
	}
	switch text {
	case "infinity":
		*t = Timestamp{Infinity: 1}
		return nil
	case "-infinity":
		*t = Timestamp{Infinity: -1}
		return nil
	}
	at, err := parseTimestamp(text)
	if err != nil {
		return err
	}
	*t = Timestamp{Time: at}
	return nil
}

// parseTimestamp reads year-month-day, then nothing or a time of day, a zone of nothing, Z or +00, and BC. The year may have any number of digits.
func parseTimestamp(text string) (time.Time, error) {
	rest, before := strings.CutSuffix(text, " BC")
	digits, rest, ok := strings.Cut(rest, "-")
	year, err := strconv.Atoi(digits)
	if !ok || err != nil || year < 1 {
		return time.Time{}, fmt.Errorf("postgres: timestamp %q: no year", text)
	}
	rest = strings.TrimSuffix(strings.TrimSuffix(strings.Replace(rest, "T", " ", 1), "Z"), "+00")
	if len(rest) == len("01-02") {
		rest += " 00:00:00"
	}
	if before {
		year = 1 - year
	}
	// The year is left out of the parsing, which knows years of four digits only; a leap year stands for it.
	at, err := time.Parse("2006-01-02 15:04:05.999999999", "2000-"+rest)
	if err != nil {
		return time.Time{}, fmt.Errorf("postgres: timestamp %q: %w", text, err)
	}
	return time.Date(year, at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC), nil
}
