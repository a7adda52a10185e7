package window

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: wrong windowing gets a sentence, never a panic.
func TestStrategy_validate(t *testing.T) {
	minute := Fixed(time.Minute)
	id := func(ts int64, out []Interval) []Interval { return append(out, Interval{ts, ts + 1}) }
	deep := AfterCount(1)
	for range 64 {
		deep = Repeat(deep)
	}
	for _, tc := range []struct {
		name string
		s    Strategy
		want string
	}{
		{"no size", New(Fixed(0)), "size of fixed windows is 0s, want at least 1ms"},
		{"negative size", New(Fixed(-time.Second)), "size of fixed windows is -1s, want at least 1ms"},
		{"half milliseconds", New(Fixed(1500 * time.Microsecond)), "size of fixed windows is 1.5ms, want whole milliseconds"},
		{"offset as long as the size", New(Fixed(time.Second, Offset(time.Second))), "offset of fixed windows is 1s, want whole milliseconds in [0, 1s)"},
		{"negative offset", New(Fixed(time.Second, Offset(-1))), "offset of fixed windows is -1ns, want whole milliseconds in [0, 1s)"},
		{"gaps (M6)", New(Sliding(3*time.Second, 10*time.Second)), "sliding windows of 3s every 10s leave gaps: the period must not be longer than the size"},
		{"no period", New(Sliding(time.Second, 0)), "period of sliding windows is 0s, want at least 1ms"},
		{"offset as long as the period", New(Sliding(10*time.Second, time.Second, Offset(2*time.Second))), "offset of sliding windows is 2s, want whole milliseconds in [0, 1s)"},
		{"no gap", New(Sessions(0)), "gap of session windows is 0s, want at least 1ms"},
		{"no days", New(Days(0, time.UTC)), "calendar windows of 0 days, want 1 to 1000000"},
		{"no zone", New(Months(1, nil)), "calendar windows of 1 months have no time zone"},
		{"no such weekday", New(Weeks(1, 7, time.UTC)), "week windows begin on weekday 7, want Sunday (0) to Saturday (6)"},
		{"custom without a name", New(Custom("", id)), "a custom window function needs a name"},
		{"custom without a function", New(Custom("mine", nil)), `custom window function "mine" has no assign function`},
		{"merging without a function", New(CustomMerging("mine", id, nil)), `merging window function "mine" has no merge function`},
		{"negative lateness", New(minute, AllowedLateness(-1)), "allowed lateness is -1ns, want whole milliseconds, not negative"},
		{"count of none", New(minute, Triggering(Repeat(AfterCount(0)))), "trigger waits for 0 elements, want at least 1"},
		{"negative delay", New(minute, Triggering(Repeat(AfterProcessingTime(-time.Second)))), "trigger waits for -1s of processing time, want whole milliseconds, not negative"},
		{"alignment to nothing", New(minute, Triggering(Repeat(AfterProcessingTime(0).AlignedTo(0, 0)))), "alignment of a processing time trigger is 0s, want at least 1ms"},
		{"no parts", New(minute, Triggering(Repeat(AfterAny()))), "trigger any has no parts"},
		{"a nil part", New(minute, Triggering(Repeat(AfterAll(AfterCount(1), nil)))), "part 2 of the trigger all is nil"},
		{"a nil early part", New(minute, Triggering(AfterWatermark().Early(nil))), "early part of AfterWatermark is nil"},
		{"too many parts", New(minute, Triggering(deep)), "trigger has 65 parts, want at most 64"},
		{"no such behavior", New(minute, OnTimeBehavior(7)), "on-time behavior is invalid(7)"},
		{"finishes (M53)", New(minute, Triggering(AfterCount(1))), "trigger count(1) may finish, and what arrives for its window after that would be lost: repeat it (Repeat, AfterWatermark().Late) or use AllowUnsafeTrigger"},
		{"finishes before late data (M53)", New(minute, Triggering(AfterWatermark()), AllowedLateness(time.Second)), "trigger after_watermark may finish, and what arrives for its window after that would be lost: repeat it (Repeat, AfterWatermark().Late) or use AllowUnsafeTrigger"},

		{"the zero value", Strategy{}, ""},
		{"finishes, and was allowed to", New(minute, Triggering(AfterCount(1)), AllowUnsafeTrigger()), ""},
		{"nothing can come after the watermark", New(minute, Triggering(AfterWatermark().Early(AfterCount(1)))), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.s.Validate(); tc.want != "" {
				require.EqualError(t, err, tc.want)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestStrategy_string(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	id := func(ts int64, out []Interval) []Interval { return append(out, Interval{ts, ts + 1}) }
	none := func([]Interval, func(Interval, ...Interval)) {}
	for _, tc := range []struct {
		s    Strategy
		want string
	}{
		{Strategy{}, "global"},
		{New(Fixed(time.Minute), Triggering(Default()), Accumulating(), Discarding()), "fixed(1m0s)"},
		{New(Fixed(time.Minute, Offset(time.Second))), "fixed(1m0s,offset=1s)"},
		{New(Sliding(time.Minute, 10*time.Second)), "sliding(1m0s,10s)"},
		{New(Sessions(time.Second)).Continued(), "merged(sessions(1s))"},
		{New(Fixed(time.Second)).Continued(), "fixed(1s)"},
		{New(Days(1, time.UTC)), "days(1,UTC)"},
		{New(Weeks(2, time.Monday, berlin)), "weeks(2,Monday,Europe/Berlin)"},
		{New(Months(3, berlin)), "months(3,Europe/Berlin)"},
		{New(Years(1, berlin)), "years(1,Europe/Berlin)"},
		{New(Custom("mine", id)), `custom("mine")`},
		{New(CustomMerging("mine", id, none)), `merging("mine")`},
		{
			New(Fixed(time.Minute), Triggering(AfterWatermark().Late(AfterCount(2))), AllowedLateness(time.Hour), Accumulating(),
				TimestampsAt(Earliest), OnTimeBehavior(OnTimeAlways), ClosingBehavior(CloseAlways)),
			"fixed(1m0s) trigger=after_watermark(late=count(2)) accumulating lateness=1h0m0s timestamps=earliest on_time=always closing=always",
		},
		{New(Fixed(time.Second), Triggering(Repeat(AfterCount(4))), Accumulating()).Continued(), "fixed(1s) trigger=repeat(count(1)) accumulating"},
	} {
		assert.Equal(t, tc.want, tc.s.String())
	}
}

// M29: re-windowing keeps the longer lateness.
func TestStrategy_rewindow(t *testing.T) {
	long, short := New(Fixed(time.Minute), AllowedLateness(time.Hour)), New(Fixed(time.Second), AllowedLateness(time.Second))
	assert.Equal(t, time.Hour, long.Rewindow(short).Lateness)
	assert.Equal(t, "fixed(1s) lateness=1h0m0s", long.Rewindow(short).String())
	assert.Equal(t, time.Hour, short.Rewindow(long).Lateness)
}

// M14, M24, M26: the last instant of a window, and the drop test at it.
func TestStrategy_expiry(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		name     string
		w        Interval
		lateness time.Duration
		want     int64
	}{
		{"no lateness", Interval{0, 10}, 0, 9},
		{"with lateness", Interval{0, 10}, ms(5), 14},
		{"negative times", Interval{-20, -10}, ms(5), -6},
		{"the global window never waits", Global, day, GlobalEnd},
		{"nor does a window at the end of time", Interval{GlobalEnd - 9, GlobalEnd + 1}, day, GlobalEnd},
		{"the longest lateness there is", Interval{0, 10}, ms(9223372036854), 9223372036854 + 9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New(GlobalWindows(), AllowedLateness(tc.lateness))
			assert.Equal(t, tc.want, s.Expiry(tc.w))
			assert.False(t, s.Expired(tc.w, tc.want), "at its expiry a window still takes data")
			assert.True(t, s.Expired(tc.w, tc.want+1))
			assert.True(t, s.Expired(tc.w, MaxTime), "the end of the input ends every window")
		})
	}
}
