package transforms_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// oneVersionAtATime removes what would be a second version of a key at one time.
func oneVersionAtATime(es []event) []event {
	type version struct {
		key string
		ts  int64
	}
	seen := map[version]bool{}
	return slices.DeleteFunc(es, func(e event) bool {
		v := version{e.Key, e.TS}
		twice := e.Right && seen[v]
		seen[v] = seen[v] || e.Right
		return twice
	})
}

// deletes says which versions among the test's events delete their row.
func deletes(e event) bool { return e.ID%3 == 0 }

// asOf is what a temporal join of es must give, by looking at all versions.
func asOf(es []event, left, deleting bool) (want []row) {
	for _, l := range es {
		if l.Right {
			continue
		}
		best := event{TS: window.MinTime, ID: -1}
		for _, r := range es {
			if r.Right && r.Key == l.Key && r.TS <= l.TS && r.TS > best.TS {
				best = r
			}
		}
		if deleting && best.ID >= 0 && deletes(best) {
			best.ID = -1
		}
		if left || best.ID >= 0 {
			want = append(want, row{l.Key, l.ID, best.ID, l.TS})
		}
	}
	return want
}

// withDeletes is the table with its deletes marked.
func withDeletes(table pipeline.Keyed[string, event]) pipeline.Keyed[string, found] {
	return pipeline.MapValues(table, func(e event) found {
		if deletes(e) {
			return found{}
		}
		return some(e)
	})
}

// Goal: each value of the stream meets the version valid at its time, whatever the
// order of arrival and whichever input is ahead. Method: seeded random inputs, and
// for each value a look at all versions.
func TestTemporalJoin_isAsOfTheTimeOfTheStream(t *testing.T) {
	for _, tc := range []struct {
		name    string
		sources int
		n       int
		span    int64
	}{
		{"one source", 1, 300, 1500},
		{"two sources that know nothing of each other", 2, 300, 1500},
		{"more versions than time between them", 1, 300, 60},
		{"few of either", 2, 12, 5000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			es := oneVersionAtATime(events(uint64(tc.n), tc.n, tc.span))
			pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
				stream, table := inputs(p, es, tc.sources)
				pipelinetest.Equal(t, innerRows(transforms.TemporalJoin(stream, table)), asOf(es, false, false)...)
				pipelinetest.Equal(t, leftRows(transforms.TemporalLeftJoin(stream, table)), asOf(es, true, false)...)
				pipelinetest.Equal(t, innerRows(transforms.TemporalJoinWithDeletes(stream, withDeletes(table))), asOf(es, false, true)...)
				pipelinetest.Equal(t, leftRows(transforms.TemporalLeftJoinWithDeletes(stream, withDeletes(table))), asOf(es, true, true)...)
			})
		})
	}
}

// Goal: old versions go, and the values that waited. Method: what is left in the end
// is one version for each key, and none of a key that was deleted.
func TestTemporalJoin_keepsTheNewestVersionsOnly(t *testing.T) {
	es := oneVersionAtATime(events(5, 600, 3000))
	last := map[string]event{}
	for _, e := range es {
		if e.Right && e.TS > last[e.Key].TS {
			last[e.Key] = e
		}
	}
	live := 0
	for _, e := range last {
		if !deletes(e) {
			live++
		}
	}
	require.NotEqual(t, len(last), live, "the input should delete some")
	for _, lanes := range []int{1, 3} {
		got := runOn(t, lanes, func(p *pipeline.Pipeline) {
			pipeline.Collect(innerRows(transforms.TemporalJoin(inputs(p, es, 1))))
		})
		require.Equal(t, int64(len(es)), got["kept"])
		require.Equal(t, int64(len(last)), got["kept"]-got["removed"])
		got = runOn(t, lanes, func(p *pipeline.Pipeline) {
			stream, table := inputs(p, es, 2)
			pipeline.Collect(leftRows(transforms.TemporalLeftJoinWithDeletes(stream, withDeletes(table))))
		})
		require.Equal(t, int64(live), got["kept"]-got["removed"])
	}
}

// An allowed lateness keeps the versions that late values need.
func TestTemporalJoin_lateness(t *testing.T) {
	es := []event{
		{"a", 100, true, 1},
		{"a", 1000, true, 2},
		{"a", 5000, false, 3}, // the watermark is here, behind both versions
		{"a", 500, false, 4},  // late
	}
	for _, tc := range []struct {
		name     string
		lateness time.Duration
		want     row
	}{
		{"its version is kept", time.Minute, row{"a", 4, 1, 500}},
		{"beyond time, too", 1e6 * time.Hour, row{"a", 4, 1, 500}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
				all := pipeline.EventTimeMs(pipeline.Create(p, es...), at).Windowed(window.GlobalWindows(), window.AllowedLateness(tc.lateness))
				byKey := pipeline.KeyBy(all, func(e event) string { return e.Key })
				stream := byKey.Filter(func(_ string, e event) bool { return !e.Right })
				table := byKey.Filter(func(_ string, e event) bool { return e.Right })
				pipelinetest.Contains(t, leftRows(transforms.TemporalLeftJoin(stream, table)), tc.want)
			})
		})
	}
}

// Times in the last day of time are behind every timer: the join must end all the same.
func TestStreamJoins_atTheEndsOfTime(t *testing.T) {
	es := []event{
		{"a", window.MaxTime - 5, true, 1}, {"a", window.MaxTime - 4, true, 2}, {"a", window.MaxTime - 3, false, 3},
		{"a", window.MinTime, true, 4}, {"a", window.MinTime, false, 5},
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		left, right := inputs(p, es, 2)
		pipelinetest.Satisfies(t, leftRows(transforms.TemporalLeftJoin(left, right)), func(t *T, got []row) { require.Len(t, got, 2) })
		pipelinetest.Satisfies(t, fullRows(transforms.IntervalFullJoin(left, right, -time.Hour, time.Hour)), func(t *T, got []row) { require.Len(t, got, 3) })
		pipelinetest.Satisfies(t, pipeline.Pairs(transforms.DeduplicateKeys(left, time.Hour)), func(t *T, got []pipeline.KV[string, event]) {
			require.NotEmpty(t, got)
		})
	})
}

func TestTemporalJoin_wrongUse(t *testing.T) {
	p := pipeline.New()
	l, r := inputs(p, nil, 1)
	transforms.TemporalJoin(l.Windowed(window.Fixed(time.Second)), r)
	transforms.TemporalLeftJoinWithDeletes(l, withDeletes(r).Windowed(window.Sliding(2*time.Second, time.Second)))
	require.ErrorContains(t, p.Err(), "TemporalJoin: its left input has windows fixed(1s)")
	require.ErrorContains(t, p.Err(), "TemporalLeftJoinWithDeletes: its right input has windows sliding(")
}
