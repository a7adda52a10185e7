package transforms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// copies sends each of n events up to four times within the retention, copies out of
// order; two bursts of one key are further apart than retention and disorder.
func copies(n int, retention int64) (all []event, first map[string][]int64) {
	first = map[string][]int64{}
	rnd := events(99, 4*n, disorder) // only for its order and times
	for i := range n {
		start := int64(i) * (retention + 2*disorder)
		for j := range 1 + i%4 {
			e := rnd[4*i+j]
			all = append(all, event{Key: fmt.Sprint("k", i%7), TS: start + e.TS, ID: int64(i)})
		}
		k := fmt.Sprint("k", i%7)
		first[k] = append(first[k], int64(i))
	}
	return all, first
}

// Goal: of each burst one value passes, with its key. Method: bursts of copies, whose
// order within a burst is random, from splits that are far apart; which of the copies passes is not looked at.
func TestDeduplicate_oneOfEachBurst(t *testing.T) {
	all, first := copies(300, 60)
	var ids []string
	for k, bursts := range first {
		for _, i := range bursts {
			ids = append(ids, fmt.Sprint(k, " ", i))
		}
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		es := pipeline.EventTimeMs(pipeline.Create(p, all...), at, pipeline.OutOfOrder(disorder*ms))
		name := func(e event) string { return fmt.Sprint(e.Key, " ", e.ID) }
		key := func(e event) string { return e.Key }
		burst := func(e event) int64 { return e.ID }
		const keep = 60 * ms
		pipelinetest.Equal(t, pipeline.Map(transforms.DeduplicateBy(es, key, keep), name), ids...)
		pipelinetest.Equal(t, pipeline.MapKV(transforms.DeduplicateKeys(pipeline.KeyBy(es, key), keep), func(_ string, e event) string { return name(e) }), ids...)
		pipelinetest.Equal(t, transforms.Deduplicate(pipeline.Map(es, name), time.Hour), ids...)
		pipelinetest.Equal(t, pipeline.MapKV(transforms.DeduplicatePerKey(pipeline.KeyBy(pipeline.Map(es, name), func(s string) byte { return s[1] }), time.Hour), func(_ byte, s string) string { return s }), ids...)
		pipelinetest.Equal(t, pipeline.Map(transforms.DeduplicateBy(es, burst, keep), name), ids...)
	})
}

// The rules, on one lane, where order is defined.
func TestDeduplicate_rules(t *testing.T) {
	type in = event
	for _, tc := range []struct {
		name string
		es   []in
		want []int64
	}{
		{"a copy within the retention", []in{{Key: "a", TS: 0, ID: 1}, {Key: "a", TS: 10, ID: 2}}, []int64{1}},
		{"one just after it is new, wherever the watermark is", []in{{Key: "a", TS: 0, ID: 1}, {Key: "a", TS: 11, ID: 2}}, []int64{1, 2}},
		{"a copy does not prolong the retention", []in{{Key: "a", TS: 0, ID: 1}, {Key: "a", TS: 8, ID: 2}, {Key: "a", TS: 16, ID: 3}}, []int64{1, 3}},
		{"who comes first passes, not who is earliest", []in{{Key: "a", TS: 10, ID: 1}, {Key: "a", TS: 0, ID: 2}}, []int64{1}},
		{"an older one further away is new", []in{{Key: "a", TS: 50, ID: 1}, {Key: "a", TS: 39, ID: 2}, {Key: "a", TS: 30, ID: 3}, {Key: "a", TS: 45, ID: 4}}, []int64{1, 2}},
		{"other keys are others", []in{{Key: "a", TS: 0, ID: 1}, {Key: "b", TS: 0, ID: 2}}, []int64{1, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got *pipeline.Collected[event]
			counts := runOn(t, 1, func(p *pipeline.Pipeline) {
				es := pipeline.EventTimeMs(pipeline.Create(p, tc.es...), at, pipeline.OutOfOrder(100*ms))
				got = pipeline.Collect(transforms.DeduplicateBy(es, func(e event) string { return e.Key }, 10*ms))
			})
			var ids []int64
			for _, e := range got.Values() {
				ids = append(ids, e.ID)
			}
			require.ElementsMatch(t, tc.want, ids)
			require.Equal(t, int64(len(tc.es)-len(tc.want)), counts["duplicates"])
		})
	}
}

// Goal: state goes. Method: what was remembered was removed, by timers.
func TestDeduplicate_leavesNothingBehind(t *testing.T) {
	all, _ := copies(500, 60)
	for _, lanes := range []int{1, 3} {
		counts := runOn(t, lanes, func(p *pipeline.Pipeline) {
			es := pipeline.EventTimeMs(pipeline.Create(p, all...), at, pipeline.OutOfOrder(disorder*ms))
			pipeline.Collect(transforms.DeduplicateBy(es, func(e event) int64 { return e.ID }, 60*ms))
		})
		require.Equal(t, int64(500), counts["kept"])
		require.Equal(t, int64(500), counts["removed"])
	}
}

func TestDeduplicate_wrongUse(t *testing.T) {
	p := pipeline.New()
	c := pipeline.Create(p, "a")
	transforms.Deduplicate(c, 0)
	transforms.DeduplicateBy(c, func(s string) string { return s }, time.Microsecond)
	transforms.DeduplicateKeys(pipeline.KeyBy(c, func(s string) string { return s }).Windowed(window.Fixed(time.Second)), time.Second)
	for _, want := range []string{
		"Deduplicate: retention is 0s, want more than 0",
		"DeduplicateBy: retention is 1µs, want whole milliseconds",
		"DeduplicateKeys: its input has windows fixed(1s)",
	} {
		require.ErrorContains(t, p.Err(), want)
	}
}
