package window

import (
	"testing"
	"time"
	_ "time/tzdata" // the test must not depend on the machine's zones

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: calendar windows follow the wall clock of their zone, through changes of
// summer time that shorten, lengthen or remove days.
func TestCalendar(t *testing.T) {
	for _, tc := range []struct {
		name       string
		zone       string
		fn         func(*time.Location) Fn
		at         string
		start, end string
		hours      int
	}{
		{"an ordinary day", "Europe/Berlin", days(1), "2026-03-28T12:00:00+01:00", "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", 24},
		{"the day summer time begins has 23 hours", "Europe/Berlin", days(1), "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23},
		{"the day it ends has 25", "Europe/Berlin", days(1), "2026-10-25T23:59:59+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25},
		{"the first 02:30 of that day", "Europe/Berlin", days(1), "2026-10-25T02:30:00+02:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25},
		{"the second", "Europe/Berlin", days(1), "2026-10-25T02:30:00+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25},
		{"midnight belongs to the new day", "Europe/Berlin", days(1), "2026-07-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00", "2026-07-02T00:00:00+02:00", 24},
		{"the millisecond before does not", "Europe/Berlin", days(1), "2026-06-30T23:59:59.999+02:00", "2026-06-30T00:00:00+02:00", "2026-07-01T00:00:00+02:00", 24},
		{"before 1970", "Europe/Berlin", days(1), "1969-12-31T12:00:00+01:00", "1969-12-31T00:00:00+01:00", "1970-01-01T00:00:00+01:00", 24},
		{"two days, counted from 1970", "UTC", days(2), "1970-01-04T12:00:00Z", "1970-01-03T00:00:00Z", "1970-01-05T00:00:00Z", 48},
		{"a day that has no midnight begins with the jump", "America/Sao_Paulo", days(1), "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 23},
		{"the day before it ends there", "America/Sao_Paulo", days(1), "2018-11-03T12:00:00-03:00", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", 24},
		{"the clock goes back at midnight: the last hour of the day is repeated", "America/Sao_Paulo", days(1), "2018-02-17T23:30:00-03:00", "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00", 25},
		{"midnight comes twice: the day begins with the first", "America/Havana", days(1), "2025-11-02T00:30:00-05:00", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00", 25},
		{"the day that Samoa left out", "Pacific/Apia", days(1), "2011-12-29T23:00:00-10:00", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", 24},
		{"the day after it", "Pacific/Apia", days(1), "2011-12-31T01:00:00+14:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00", 24},
		{"a week from Monday, over the change", "Europe/Berlin", weeks(1, time.Monday), "2026-03-26T12:00:00+01:00", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 167},
		{"a Sunday is the last day of it", "Europe/Berlin", weeks(1, time.Monday), "2026-03-29T23:00:00+02:00", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 167},
		{"a week from Sunday", "UTC", weeks(1, time.Sunday), "2026-03-28T12:00:00Z", "2026-03-22T00:00:00Z", "2026-03-29T00:00:00Z", 168},
		{"a week from Thursday begins 1970 itself", "UTC", weeks(1, time.Thursday), "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-08T00:00:00Z", 168},
		{"a week from Friday", "UTC", weeks(1, time.Friday), "1970-01-01T00:00:00Z", "1969-12-26T00:00:00Z", "1970-01-02T00:00:00Z", 168},
		{"a month over the change", "Europe/Berlin", months(1), "2026-03-31T23:59:59+02:00", "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00", 743},
		{"February of a leap year", "UTC", months(1), "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", 29 * 24},
		{"a quarter", "UTC", months(3), "2026-05-15T12:00:00Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z", 91 * 24},
		{"a month before 1970", "UTC", months(1), "1969-11-15T12:00:00Z", "1969-11-01T00:00:00Z", "1969-12-01T00:00:00Z", 720},
		{"a year", "Europe/Berlin", years(1), "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00", 8760},
		{"a decade", "UTC", years(10), "2026-06-01T00:00:00Z", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", 87672},
		{"a decade before 1970", "UTC", years(10), "1969-06-01T00:00:00Z", "1960-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 87672},
	} {
		t.Run(tc.name, func(t *testing.T) {
			zone, err := time.LoadLocation(tc.zone)
			require.NoError(t, err)
			fn := tc.fn(zone)
			require.NoError(t, fn.Validate())
			w := fn.AssignOne(instantOf(t, tc.at))
			show := func(ms int64) string { return time.UnixMilli(ms).In(zone).Format(time.RFC3339) }
			assert.Equal(t, []string{tc.start, tc.end}, []string{show(w.Start), show(w.End)})
			assert.EqualValues(t, tc.hours*3600_000, w.End-w.Start)
		})
	}
}

// Goal: in every zone that is likely to be awkward, a year of each kind of change
// is tiled: no instant is in two windows or none.
func TestCalendar_tiles(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Pacific/Apia", "Asia/Kathmandu",
		"Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Asia/Tehran", "Antarctica/Troll", "Africa/Monrovia"} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		for _, fn := range []Fn{Days(1, zone), Days(2, zone), Weeks(1, time.Monday, zone), Months(1, zone), Years(1, zone)} {
			for _, year := range []int{1919, 2011, 2018, 2040} {
				ts := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
				last := fn.AssignOne(ts)
				for end := ts + 366*dayMillis; ts < end; ts += 3600_000 {
					w := fn.AssignOne(ts)
					require.True(t, w.Contains(ts), "%v: %v does not hold %d", fn, w, ts)
					if w != last {
						require.Equal(t, last.End, w.Start, "%v at %d", fn, ts)
						last = w
					}
				}
			}
		}
	}
}

func days(n int) func(*time.Location) Fn {
	return func(z *time.Location) Fn { return Days(n, z) }
}

func weeks(n int, first time.Weekday) func(*time.Location) Fn {
	return func(z *time.Location) Fn { return Weeks(n, first, z) }
}

func months(n int) func(*time.Location) Fn {
	return func(z *time.Location) Fn { return Months(n, z) }
}

func years(n int) func(*time.Location) Fn {
	return func(z *time.Location) Fn { return Years(n, z) }
}

func instantOf(t *testing.T, s string) int64 {
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at.UnixMilli()
}
