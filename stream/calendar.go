package stream

import (
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// CalendarWindows are the days, weeks or months of a calendar in a time zone, half-open: [start, end). They follow each other without a gap, and every record is in one.
//
// A window begins at the first instant at which clocks in the zone show its first day or a later one: a day has 23 or 25 hours when clocks change, one that clocks
// skip has no window, and what is shown twice around midnight is in the later of the two days. The first window begins in 1970. The zone's rules are those
// of the machine or of the program: instances of an application should have the same.
type CalendarWindows struct {
	unit  calendarUnit
	first time.Weekday // of weeks
	zone  *time.Location
	grace time.Duration
}

type calendarUnit int8

const (
	calendarDay calendarUnit = iota
	calendarWeek
	calendarMonth
)

// Daily are windows from midnight to midnight. There is no grace until Grace sets one.
func Daily(zone *time.Location) CalendarWindows { return CalendarWindows{zone: zone} }

// Weekly are windows of seven days that begin on a weekday.
func Weekly(zone *time.Location, first time.Weekday) CalendarWindows {
	return CalendarWindows{unit: calendarWeek, zone: zone, first: first}
}

// Monthly are windows of the months.
func Monthly(zone *time.Location) CalendarWindows {
	return CalendarWindows{unit: calendarMonth, zone: zone}
}

// Grace sets how long after its end a window takes records that come late, as for [TimeWindows].
func (w CalendarWindows) Grace(d time.Duration) CalendarWindows {
	w.grace = d
	return w
}

// GracePeriod is what Grace set.
func (w CalendarWindows) GracePeriod() time.Duration { return w.grace }

// Retention is internal: the longest window, with a day for what changes of clocks add, and its grace.
func (w CalendarWindows) Retention() time.Duration {
	days := [...]int{calendarDay: 1, calendarWeek: 7, calendarMonth: 31}[w.unit] + 1
	return time.Duration(days)*24*time.Hour + w.grace
}

// Span returns the window that holds a time, all in milliseconds since 1970. A window at the end of time is shorter.
func (w CalendarWindows) Span(at int64) (start, end int64) {
	for day := w.firstDay(at); ; {
		next := w.next(day)
		// A day that clocks went back to belongs to the next window, and one that they skipped has none: at may lie behind the window of its day.
		if end = w.begin(next); end > at || end == math.MaxInt64 {
			return max(0, w.begin(day)), end
		}
		day = next
	}
}

// End returns the end of the window that begins at start: what serde.WindowedBy asks for.
func (w CalendarWindows) End(start int64) int64 {
	_, end := w.Span(start)
	return end
}

// firstDay returns the first day of the window whose days include the one that clocks show. Days are midnights of UTC here: a calendar without a zone.
func (w CalendarWindows) firstDay(at int64) time.Time {
	year, month, day := time.UnixMilli(at).In(w.zone).Date()
	switch w.unit {
	case calendarMonth:
		day = 1
	case calendarWeek:
		weekday := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday()
		day -= int(weekday-w.first+7) % 7
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// next returns the first day of the following window.
func (w CalendarWindows) next(day time.Time) time.Time {
	switch w.unit {
	case calendarMonth:
		return day.AddDate(0, 1, 0)
	case calendarWeek:
		return day.AddDate(0, 0, 7)
	}
	return day.AddDate(0, 0, 1)
}

// begin returns the first instant at which clocks in the zone show the day or a later one. It goes through the zone's changes from two days before, when no clock
// on earth shows it yet.
func (w CalendarWindows) begin(day time.Time) int64 {
	shown := day.Unix()
	for t := day.AddDate(0, 0, -2).In(w.zone); ; {
		_, offset := t.Zone()
		from, to := t.ZoneBounds()
		begin := shown - int64(offset)
		if !from.IsZero() {
			begin = max(begin, from.Unix())
		}
		if to.IsZero() || begin < to.Unix() {
			if begin > math.MaxInt64/1000 {
				return math.MaxInt64
			}
			return begin * 1000
		}
		t = to
	}
}

func (w CalendarWindows) check(op topology.Op, g *topology.Graph) {
	if w.zone == nil {
		g.Fault(op, "calendar windows without a time zone: choose one, time.UTC for example")
	}
	if w.first < time.Sunday || w.first > time.Saturday {
		g.Fault(op, "weeks that begin on %v: choose from time.Sunday to time.Saturday", w.first)
	}
	checkGrace(op, g, w.grace)
	checkMillis(op, g, w.grace)
}
