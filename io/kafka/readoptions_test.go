package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewReading(t *testing.T) {
	for _, tc := range []struct {
		story, url string
		opts       []ReadOption
		check      func(t *testing.T, r *reading)
	}{
		{"nothing said", "kafka://a/x", nil, func(t *testing.T, r *reading) {
			assert.Equal(t, []string{"x"}, r.topics)
			assert.Equal(t, Earliest(), r.start)
			assert.Zero(t, r.stop.kind)
			assert.Equal(t, 64<<20, r.budget)
		}},
		{"several topics", "kafka://a/x,a,x", nil, func(t *testing.T, r *reading) { assert.Equal(t, []string{"a", "x"}, r.topics) }},
		{"all in the URL", "kafka://a/x?group=g&start=group,latest&stop=2026-01-02T15:04:05Z&reset=latest&uncommitted=true&budget=2000000&wait=1s&patience=3s&discover=0s&outoforder=4s&idle=5s&rack=r&timeout=6s&client=me", nil, func(t *testing.T, r *reading) {
			assert.Equal(t, Committed(Latest()), r.start)
			assert.Equal(t, "the time 2026-01-02T15:04:05Z", r.stop.String())
			assert.Equal(t, Latest(), r.reset)
			assert.True(t, r.uncommitted)
			assert.Equal(t, 2000000, r.budget)
			assert.Equal(t, []time.Duration{time.Second, 3 * time.Second, 0, 4 * time.Second, 5 * time.Second}, []time.Duration{r.wait, r.patience, r.discover, r.disorder, r.idle})
			assert.Equal(t, "r", r.rack)
			assert.Equal(t, 6*time.Second, r.client.RequestTimeout)
			assert.Equal(t, "me", r.client.ClientID)
		}},
		{"options count", "kafka://a/x?start=latest&group=g", []ReadOption{Start(Earliest()), Topics("y"), Group("h")}, func(t *testing.T, r *reading) {
			assert.Equal(t, Earliest(), r.start)
			assert.Equal(t, []string{"y"}, r.topics)
			assert.Equal(t, "h", r.group)
		}},
		{"a group", "kafka://a/x?group=g", nil, func(t *testing.T, r *reading) { assert.Equal(t, Committed(Earliest()), r.start) }},
		{"a pattern", "kafka://a?pattern=x.*y", nil, func(t *testing.T, r *reading) {
			assert.True(t, r.matches.MatchString("xxy"))
			assert.False(t, r.matches.MatchString("xxyz"))
			assert.Empty(t, r.topics)
		}},
		{"assigned by a group", "kafka://a/x?group=g&assign=group&instance=i&start=group,latest", nil, func(t *testing.T, r *reading) {
			assert.True(t, r.assigned)
			assert.Equal(t, "i", r.instance)
			assert.Equal(t, 45*time.Second, r.session)
			assert.Equal(t, Committed(Latest()), r.start)
		}},
		{"options of both sides", "kafka://a/x", []ReadOption{OAuth(nil)}, func(t *testing.T, r *reading) { assert.Nil(t, r.token) }},
	} {
		t.Run(tc.story, func(t *testing.T) {
			r, err := newReading(tc.url, tc.opts)
			require.NoError(t, err)
			tc.check(t, r)
		})
	}
}

func TestNewReading_wrong(t *testing.T) {
	offsets := map[TopicPartition]int64{{"x", 1}: -1}
	for _, tc := range []struct {
		story, url, want string
		opts             []ReadOption
	}{
		{"no topic", "kafka://a", "no topic is named", nil},
		{"no topic in the option", "kafka://a/x", "no topic is named", []ReadOption{Topics([]string{}...), Topics()}},
		{"a bad topic", "kafka://a/x", `topic "a b"`, []ReadOption{Topics("a b")}},
		{"a pattern and a topic", "kafka://a/x?pattern=y", "either topics or a pattern", nil},
		{"a bad pattern", "kafka://a", "no regular expression", []ReadOption{Pattern("(")}},
		{"a bad place", "kafka://a/x?start=yesterday", "start=yesterday: want earliest, latest, a time", nil},
		{"from nowhere", "kafka://a/x", "Start: a place is missing", []ReadOption{Start(AtOffsets(nil, Place{}))}},
		{"a negative offset", "kafka://a/x", "Start: x/1: offset -1", []ReadOption{Start(AtOffsets(offsets, Latest()))}},
		{"a group that is not named", "kafka://a/x?start=group", "there is no group", nil},
		{"an end that is none", "kafka://a/x?stop=earliest", "Stop: the earliest is no place for this", nil},
		{"a reset to a time", "kafka://a/x", "Reset: the time 1970-01-01T00:00:00Z is no place for this", []ReadOption{Reset(AtTime(time.UnixMilli(0)))}},
		{"a small budget", "kafka://a/x?budget=1000", "FetchBudget(1000): want at least", nil},
		{"a budget with a unit", "kafka://a/x?budget=1MB", "budget=1MB: want a number of bytes", nil},
		{"no wait", "kafka://a/x?wait=0s", "MaxWait(0s)", nil},
		{"a time without a unit", "kafka://a/x?idle=10", "idle=10: want a time as 10s", nil},
		{"a negative time", "kafka://a/x", "OutOfOrder(-1ns)", []ReadOption{OutOfOrder(-1)}},
		{"perhaps", "kafka://a/x?uncommitted=perhaps", "want true or false", nil},
		{"a nil option", "kafka://a/x", "an option is nil", []ReadOption{nil}},
		{"a file that is missing", "kafkas://a/x?ca=nowhere.pem", "read the certificates", nil},
		{"assigned by no group", "kafka://a/x?assign=group", "AssignedByGroup: there is no group: want kafka.Group, or group= in the URL", nil},
		{"assigned by whom", "kafka://a/x?group=g&assign=me", "assign=me: want group or job", nil},
		{"assigned, and an end", "kafka://a/x?group=g", "AssignedByGroup and Stop: nobody knows", []ReadOption{AssignedByGroup(), Stop(Latest())}},
		{"assigned, and another start", "kafka://a/x?group=g&start=latest", "AssignedByGroup begins where the group is, and Start is the latest: want kafka.Committed of that", []ReadOption{AssignedByGroup()}},
		{"assigned, and not looked for", "kafka://a/x?group=g&discover=0s", "AssignedByGroup and Discover(0)", []ReadOption{AssignedByGroup()}},
		{"a session of no member", "kafka://a/x?group=g&session=10s", "SessionTimeout and Instance are for members of a group", nil},
		{"a short session", "kafka://a/x?group=g&assign=group&session=10ms", "SessionTimeout(10ms): want 1s to 1h", nil},
		{"a parameter that there is not", "kafka://a/x?acks=all", `the parameter "acks"`, nil},
	} {
		t.Run(tc.story, func(t *testing.T) {
			_, err := newReading(tc.url, tc.opts)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
