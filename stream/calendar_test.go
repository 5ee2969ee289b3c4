package stream_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of this test, wherever it runs

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

func ExampleMonthly() {
	months := stream.Monthly(zone("Europe/Oslo"))
	meter := stream.NewTopic("meter", serde.String, serde.Int64)
	bills := stream.NewTopic("bills", serde.WindowedBy(serde.String, months.End), serde.Int64)

	b := stream.NewBuilder()
	monthly := stream.WindowBy(stream.GroupByKey(stream.From(b, meter)), months).EmitOnClose()
	use := ktable.ReduceWindows(monthly, func(sofar, v int64) int64 { return sofar + v }, statestore.Window("use", serde.String, serde.Int64))
	stream.To(ktable.ToStream(use), bills)
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for _, at := range []string{"2026-01-31T23:30:00+01:00", "2026-02-01T00:30:00+01:00", "2026-02-28T12:00:00+01:00", "2026-03-01T00:00:00+01:00"} {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			panic(err)
		}
		if err := runtimetest.Pipe(d, meter, "house 7", 10, t.UnixMilli()); err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, bills) {
		fmt.Println(r.Key.Key, r.Key.StartTime().In(zone("Europe/Oslo")).Format("January"), r.Value)
	}
	// Output:
	// house 7 January 10
	// house 7 February 20
}

// TestCalendarFollowsTheZonesClocks has days that are short, long, skipped, without a midnight and with two.
func TestCalendarFollowsTheZonesClocks(t *testing.T) {
	const form = "2006-01-02T15:04:05"
	for name, c := range map[string]struct {
		windows         stream.CalendarWindows
		at, start, end  string // at and the others in UTC
		hoursOfTheRange float64
	}{
		"a day in UTC":                            {stream.Daily(time.UTC), "2026-03-29T10:00:00", "2026-03-29T00:00:00", "2026-03-30T00:00:00", 24},
		"a day of 23 hours":                       {stream.Daily(zone("Europe/Oslo")), "2026-03-29T10:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00", 23},
		"a day of 25 hours":                       {stream.Daily(zone("Europe/Oslo")), "2026-10-25T00:30:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00", 25},
		"a day without a midnight":                {stream.Daily(zone("America/Sao_Paulo")), "2018-11-04T03:00:00", "2018-11-04T03:00:00", "2018-11-05T02:00:00", 23},
		"a day with two midnights":                {stream.Daily(zone("America/Havana")), "2025-11-02T05:30:00", "2025-11-02T04:00:00", "2025-11-03T05:00:00", 25},
		"clocks that go back over midnight":       {stream.Daily(zone("America/St_Johns")), "2006-10-29T03:00:00", "2006-10-29T02:30:00", "2006-10-30T03:30:00", 25},
		"the day before a skipped one":            {stream.Daily(zone("Pacific/Apia")), "2011-12-30T09:59:59", "2011-12-29T10:00:00", "2011-12-30T10:00:00", 24},
		"the day after a skipped one":             {stream.Daily(zone("Pacific/Apia")), "2011-12-30T10:00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00", 24},
		"a week from Monday":                      {stream.Weekly(time.UTC, time.Monday), "2026-11-22T23:59:59", "2026-11-16T00:00:00", "2026-11-23T00:00:00", 168},
		"a week from Sunday":                      {stream.Weekly(time.UTC, time.Sunday), "2026-11-22T00:00:00", "2026-11-22T00:00:00", "2026-11-29T00:00:00", 168},
		"a week in which clocks change":           {stream.Weekly(zone("Europe/Oslo"), time.Monday), "2026-03-29T21:00:00", "2026-03-22T23:00:00", "2026-03-29T22:00:00", 167},
		"February of a leap year":                 {stream.Monthly(time.UTC), "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00", 29 * 24},
		"a month in which clocks change":          {stream.Monthly(zone("America/New_York")), "2026-03-31T12:00:00", "2026-03-01T05:00:00", "2026-04-01T04:00:00", 31*24 - 1},
		"the first week begins in 1970, not 1969": {stream.Weekly(time.UTC, time.Monday), "1970-01-01T00:00:00", "1970-01-01T00:00:00", "1970-01-05T00:00:00", 96},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(form, c.at)
			if err != nil {
				t.Fatal(err)
			}
			start, end := c.windows.Span(at.UnixMilli())
			if have := time.UnixMilli(start).UTC().Format(form); have != c.start {
				t.Errorf("starts at %s, want %s", have, c.start)
			}
			if have := time.UnixMilli(end).UTC().Format(form); have != c.end {
				t.Errorf("ends at %s, want %s", have, c.end)
			}
			if have := float64(end-start) / 3_600_000; have != c.hoursOfTheRange {
				t.Errorf("has %v hours, want %v", have, c.hoursOfTheRange)
			}
			if have := c.windows.End(start); have != end {
				t.Errorf("End(%d) is %d, want %d", start, have, end)
			}
		})
	}
}

// TestCalendarWindowsFollowEachOther goes from window to window through the time that zones have rules for, and looks at both edges of each.
func TestCalendarWindowsFollowEachOther(t *testing.T) {
	until := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for _, name := range []string{"UTC", "Europe/Oslo", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Pacific/Apia", "Pacific/Kwajalein", "Antarctica/Casey", "Asia/Gaza"} {
		z := zone(name)
		for unit, w := range map[string]stream.CalendarWindows{"day": stream.Daily(z), "week": stream.Weekly(z, time.Monday), "month": stream.Monthly(z)} {
			longest := w.Retention().Milliseconds()
			for at := int64(0); at < until; {
				start, end := w.Span(at)
				if start != at || end <= start || end-start > longest {
					t.Fatalf("%s of %s: the window at %d is [%d, %d)", unit, name, at, start, end)
				}
				if s, e := w.Span(end - 1); s != start || e != end {
					t.Fatalf("%s of %s: the window at the end of [%d, %d) is [%d, %d)", unit, name, start, end, s, e)
				}
				at = end
			}
		}
	}
	if start, end := stream.Daily(zone("Europe/Oslo")).Span(math.MaxInt64); start < math.MaxInt64-90_000_000 || end != math.MaxInt64 {
		t.Errorf("the last day is [%d, %d)", start, end)
	}
}

// TestCalendarDaysTakeWhatIsLate until their end and grace, count what is later, and come back from the changelog.
func TestCalendarDaysTakeWhatIsLate(t *testing.T) {
	const hour = 3_600_000
	days := stream.Daily(time.FixedZone("east", 3600)).Grace(time.Hour)
	in := stream.NewTopic("in", serde.String, serde.String)
	out := stream.NewTopic("out", serde.WindowedBy(serde.String, days.End), serde.Int64)
	store := statestore.Window("days", serde.String, serde.Int64)
	b := stream.NewBuilder()
	grouped := stream.GroupByKey(stream.From(b, in))
	stream.To(ktable.ToStream(ktable.CountWindows(stream.WindowBy(grouped, days), store)), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	for i, c := range []struct {
		at   int64
		want string
	}{
		{1, "[0, 82800000) 1"},
		{23 * hour, "[82800000, 169200000) 1"},
		{2, "[0, 82800000) 2"},
		{24*hour - 1, "[82800000, 169200000) 2"},
		{3, "[0, 82800000) 3"},
		{24 * hour, "[82800000, 169200000) 3"},
		{4, ""},
	} {
		if err := runtimetest.Pipe(d, in, "k", "v", c.at); err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, r := range runtimetest.Output(d, out) {
			have = append(have, fmt.Sprintf("[%d, %d) %d", r.Key.Start, r.Key.End, r.Value))
		}
		if got := strings.Join(have, ", "); got != c.want {
			t.Errorf("record %d gives %q, want %q", i, got, c.want)
		}
		if err := d.Restart(true); err != nil {
			t.Fatal(err)
		}
	}
	if d.Dropped() != 1 {
		t.Errorf("%d records dropped, want 1: %v", d.Dropped(), d.Drops())
	}
}

// TestCalendarFaults are told when the topology is built.
func TestCalendarFaults(t *testing.T) {
	for want, w := range map[string]stream.CalendarWindows{
		"without a time zone":      stream.Daily(nil),
		"weeks that begin on":      stream.Weekly(time.UTC, 7),
		"a grace of -1ms":          stream.Monthly(time.UTC).Grace(-time.Millisecond),
		"no whole number of milli": stream.Daily(time.UTC).Grace(time.Microsecond),
	} {
		b := stream.NewBuilder()
		grouped := stream.GroupByKey(stream.From(b, stream.NewTopic("in", serde.String, serde.String)))
		ktable.CountWindows(stream.WindowBy(grouped, w), statestore.Window("s", serde.String, serde.Int64))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build says %v, want %q", err, want)
		}
	}
}
