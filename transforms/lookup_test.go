package transforms_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// capitals is a service: what it is asked, and how often.
type capitals struct {
	mu    sync.Mutex // guards asked
	asked map[string]int
}

var capitalOf = map[string]string{"norway": "oslo", "chile": "santiago"}

func (s *capitals) note(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	for _, k := range keys {
		s.asked[k]++
	}
}

func (s *capitals) one(_ context.Context, country string) (string, bool, error) {
	s.note(country)
	if country == "error" {
		return "", false, errors.New("no line")
	}
	c, ok := capitalOf[country]
	return c, ok, nil
}

func (s *capitals) many(_ context.Context, countries []string) (map[string]string, error) {
	s.note(countries...)
	out := map[string]string{}
	for i, k := range countries {
		if c, ok := capitalOf[k]; ok {
			out[k] = c
		}
		countries[i] = "" // it owns them
	}
	return out, nil
}

// visits are keys that are known, unknown, and known again, by a number.
func visits(p *pipeline.Pipeline) pipeline.Keyed[string, int] {
	return pipeline.KeyBy(pipeline.Create(p, 0, 1, 2, 3, 4, 5, 6, 7), func(i int) string {
		return []string{"norway", "atlantis", "chile"}[i%3]
	})
}

type (
	pair = transforms.Pair[int, string]
	opt  = transforms.Pair[int, transforms.Optional[string]]
)

// Goal: every form of the join gives the same, with and without a cache, however
// run. Method: all of them, in all ways.
func TestLookupJoins(t *testing.T) {
	kv := pipeline.NewKV[string, pair]
	inner := []pipeline.KV[string, pair]{
		kv("norway", pair{0, "oslo"}), kv("norway", pair{3, "oslo"}), kv("norway", pair{6, "oslo"}),
		kv("chile", pair{2, "santiago"}), kv("chile", pair{5, "santiago"}),
	}
	var left []pipeline.KV[string, opt]
	for _, x := range inner {
		left = append(left, pipeline.NewKV(x.Key, opt{x.Value.Left, transforms.Optional[string]{OK: true, Value: x.Value.Right}}))
	}
	for _, i := range []int{1, 4, 7} {
		left = append(left, pipeline.NewKV("atlantis", opt{Left: i}))
	}
	for name, cache := range map[string]transforms.Cache{
		"no cache":       {},
		"for ever":       {Size: 10},
		"a small one":    {Size: 1, TTL: time.Hour, MissTTL: time.Minute},
		"without misses": {Size: 10, TTL: time.Minute, MissTTL: -1},
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				var s capitals
				v := visits(p)
				pipelinetest.Equal(t, pipeline.Pairs(transforms.LookupJoin(v, s.one, cache, pipeline.Concurrency(2))), inner...)
				pipelinetest.Equal(t, pipeline.Pairs(transforms.LookupLeftJoin(v, s.one, cache, pipeline.Ordered())), left...)
				pipelinetest.Equal(t, pipeline.Pairs(transforms.LookupBatchJoin(v, s.many, 2, time.Millisecond, cache)), inner...)
				pipelinetest.Equal(t, pipeline.Pairs(transforms.LookupBatchLeftJoin(v, s.many, 3, 0, cache, pipeline.Named("ask"))), left...)
			})
		})
	}
}

// Goal: a cache saves calls, for misses, too. Method: one call at a time, so that
// each is back before the next element; count the calls.
func TestLookupJoin_cacheSavesCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		cache transforms.Cache
		want  map[string]int // how often each key is asked for
	}{
		"none":       {transforms.Cache{}, map[string]int{"norway": 3, "atlantis": 3, "chile": 2}},
		"for ever":   {transforms.Cache{Size: 3}, map[string]int{"norway": 1, "atlantis": 1, "chile": 1}},
		"too small":  {transforms.Cache{Size: 1}, map[string]int{"norway": 3, "atlantis": 3, "chile": 2}},
		"misses not": {transforms.Cache{Size: 3, MissTTL: -1}, map[string]int{"norway": 1, "atlantis": 2, "chile": 1}}, // the last one shares a call
	} {
		t.Run(name, func(t *testing.T) {
			var s capitals
			p := pipeline.New()
			out := pipeline.Collect(pipeline.Pairs(transforms.LookupJoin(visits(p), s.one, tc.cache, pipeline.Concurrency(1))))
			_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
			require.NoError(t, err)
			assert.Equal(t, tc.want, s.asked)
			assert.Len(t, out.Values(), 5)
		})
	}
}

// What could not be looked up is set aside by the policy, and its neighbours are not.
func TestLookupJoin_deadLetters(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		var s capitals
		keyed := pipeline.KeyBy(pipeline.Create(p, 0, 1, 2, 3), func(i int) string {
			return []string{"norway", "error"}[i%2]
		})
		joined := transforms.LookupJoin(keyed, s.one, transforms.Cache{Size: 5}, pipeline.CallRetries(1), pipeline.CallBackoff(time.Microsecond, time.Millisecond))
		pipelinetest.Equal(t, transforms.Values(joined), pair{0, "oslo"}, pair{2, "oslo"})
		pipelinetest.Equal(t, pipeline.Map(pipeline.DeadLetters(p), func(l pipeline.DeadLetter) string { return l.Text + " " + l.Error }),
			"{Key:error Value:1} no line", "{Key:error Value:3} no line")
	}, pipelinetest.OnError(local.DeadLetter))
}

// Behind a grouping a keyed collection is partitioned by key, and behind a lookup it
// still is: a second grouping needs no shuffle. And panes keep their windows.
func TestLookupJoin_betweenGroupings(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		var s capitals
		timed := pipeline.EventTimeMs(pipeline.Create(p, 0, 1, 2, 3, 4, 5, 6, 7), func(i int) int64 { return int64(i) }, pipeline.OutOfOrder(10*time.Millisecond))
		keyed := pipeline.KeyBy(timed, func(i int) string { return []string{"norway", "chile"}[i%2] }).Windowed(window.Fixed(4 * time.Millisecond))
		counts := transforms.Count(keyed)
		joined := transforms.LookupJoin(counts, s.one, transforms.Cache{Size: 10})
		again := transforms.Count(joined)
		type counted = transforms.Pair[int64, string]
		first, second := window.Interval{Start: 0, End: 4}, window.Interval{Start: 4, End: 8}
		each := []counted{{2, "oslo"}, {2, "santiago"}}
		pipelinetest.EqualPerWindow(t, transforms.Values(joined), map[window.Interval][]counted{first: each, second: each})
		pipelinetest.EqualPerWindow(t, transforms.Values(again), map[window.Interval][]int64{first: {1, 1}, second: {1, 1}})
	})
}

func TestLookupJoin_mistakes(t *testing.T) {
	var s capitals
	for want, build := range map[string]func(pipeline.Keyed[string, int]){
		"LookupJoin: the function is nil": func(c pipeline.Keyed[string, int]) {
			transforms.LookupJoin[string, int, string](c, nil, transforms.Cache{})
		},
		"LookupBatchLeftJoin: the function is nil": func(c pipeline.Keyed[string, int]) {
			transforms.LookupBatchLeftJoin[string, int, string](c, nil, 1, 0, transforms.Cache{})
		},
		"LookupBatchJoin: the size of a batch is -1, want at least 1": func(c pipeline.Keyed[string, int]) {
			transforms.LookupBatchJoin(c, s.many, -1, 0, transforms.Cache{})
		},
		"LookupJoin: the size of its cache is -1, want 0 or more": func(c pipeline.Keyed[string, int]) {
			transforms.LookupJoin(c, s.one, transforms.Cache{Size: -1})
		},
		"LookupLeftJoin: the TTL of its cache is -1s, want 0 or more": func(c pipeline.Keyed[string, int]) {
			transforms.LookupLeftJoin(c, s.one, transforms.Cache{Size: 1, TTL: -time.Second})
		},
		"LookupJoin: its cache has a TTL but no size: say how many keys each lane may remember": func(c pipeline.Keyed[string, int]) {
			transforms.LookupJoin(c, s.one, transforms.Cache{TTL: time.Second})
		},
		"AsyncLookup: Concurrency is -5, want 1 to 100000": func(c pipeline.Keyed[string, int]) {
			transforms.LookupJoin(c, s.one, transforms.Cache{}, pipeline.Concurrency(-5))
		},
	} {
		p := pipeline.New()
		build(visits(p))
		require.ErrorContains(t, p.Err(), want)
	}
}
