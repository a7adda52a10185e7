package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

var nine = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func minute(m int) time.Time { return nine.Add(time.Duration(m) * time.Minute) }

// at is a click on a page, m minutes past nine.
func at(m int, user, page string) pipeline.Timestamped[click] {
	return pipelinetest.At(minute(m), click{user, page, minute(m)})
}

func see(clicks, orders int64, from, to int, timing window.Timing) visit {
	return visit{"ann", clicks, orders, minute(from), minute(to), timing}
}

func TestSessions(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[click](t)
		s.Add(at(0, "ann", "/things"), at(4, "ann", "/thanks"))
		second := s.AdvanceClock(2 * time.Second)
		s.Add(at(12, "ann", "/things"))
		over := s.AdvanceWatermark(minute(23))
		late := s.Add(at(13, "ann", "/thanks"))
		s.AdvanceWatermark(minute(40))
		lost := s.Add(at(14, "ann", "/things"))

		perUser := pipeline.KeyBy(pipelinetest.Stream(p, s), func(c click) string { return c.User })
		visits, tooLate := sessions(perUser)
		pipelinetest.EmptyBefore(t, visits, second)
		pipelinetest.EqualAt(t, visits, second, see(2, 1, 0, 4, window.PaneEarly))
		pipelinetest.EqualAt(t, visits, over, see(3, 1, 0, 12, window.PaneOnTime))
		pipelinetest.EqualAt(t, visits, late, see(4, 2, 0, 13, window.PaneLate))
		pipelinetest.EmptyBefore(t, tooLate, lost)
		pipelinetest.Satisfies(t, tooLate, func(t *pipelinetest.T, got []pipeline.KV[string, pipeline.Late[click]]) {
			require.Len(t, got, 1)
			require.Equal(t, minute(14), got[0].Value.Value.At)
			require.Equal(t, minute(40).UnixMilli(), got[0].Value.Watermark)
		})
	})
}

func TestLeftBaskets(t *testing.T) {
	for _, tc := range []struct {
		story  string
		clicks []pipeline.Timestamped[click]
		left   bool
	}{
		{"filled and left", []pipeline.Timestamped[click]{at(1, "ann", "/basket")}, true},
		{"paid for", []pipeline.Timestamped[click]{at(1, "ann", "/basket"), at(2, "ann", "/thanks")}, false},
		{"paid for, which is heard of first", []pipeline.Timestamped[click]{at(2, "ann", "/thanks"), at(1, "ann", "/basket")}, false},
		{"filled again after paying", []pipeline.Timestamped[click]{at(0, "ann", "/thanks"), at(1, "ann", "/basket")}, true},
		{"somebody else pays", []pipeline.Timestamped[click]{at(1, "ann", "/basket"), at(2, "bo", "/thanks")}, true},
	} {
		t.Run(tc.story, func(t *testing.T) {
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				s := pipelinetest.NewScript[click](t)
				s.Add(tc.clicks...)
				s.AdvanceWatermark(minute(6))
				due := s.AdvanceWatermark(minute(6).Add(time.Millisecond))
				left := leftBaskets(pipeline.KeyBy(pipelinetest.Stream(p, s), func(c click) string { return c.User }))
				pipelinetest.EmptyBefore(t, left, due)
				var want []basket
				if tc.left {
					want = append(want, basket{"ann", minute(1)})
				}
				pipelinetest.EqualAt(t, left, due, want...)
			})
		})
	}
}

// The whole program over forty minutes of the shop.
func TestFollow(t *testing.T) {
	const clicks = 400
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		made := shop{opens: nine, every: 6 * time.Second, count: clicks}.clicks(p)
		r := follow(made, 0)
		pipelinetest.Satisfies(t, made, func(t *pipelinetest.T, got []click) { require.Len(t, got, clicks) })
		pipelinetest.Satisfies(t, pipeline.Map(r.late, lateLine), func(t *pipelinetest.T, got []string) {
			for _, line := range got {
				require.Regexp(t, `^too late user\d+ +\d\d:\d\d 2\dm\d+s behind the watermark`, line)
			}
		})
		pipelinetest.Satisfies(t, r.left, func(t *pipelinetest.T, got []basket) { require.NotEmpty(t, got) })
		pipelinetest.Satisfies(t, r.visits, func(t *pipelinetest.T, got []visit) {
			require.NotEmpty(t, got)
			for _, v := range got {
				require.Regexp(t, `^(early|on_time|late) +user\d+ +\d\d:\d\d-\d\d:\d\d`, v.String())
			}
		})
	})
}

var digits = regexp.MustCompile(`[0-9]+`)

// Why no session comes to its end while the app is silent, as docs/streaming.md shows it.
func TestOutage_explained(t *testing.T) {
	p := pipeline.New()
	r := follow(shop{opens: nine, every: 6 * time.Second, rate: 100, count: 360_000, outage: true}.clicks(p), 0)
	pipeline.Collect(r.visits)
	ctx, cancel := context.WithCancel(t.Context())
	observers, ended := make(chan *local.Observer, 1), make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, local.Config{Parallelism: 2, Progress: func(o *local.Observer) { observers <- o }})
		ended <- err
	}()
	o := <-observers
	var text string
	require.Eventually(t, func() bool {
		text = o.Explain().String()
		return strings.Contains(text, "which has been silent for") && strings.Contains(text, "of generate.Elements#2") && strings.Contains(text, "its newest time")
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	golden := filepath.Join("testdata", "explain.txt")
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, digits.ReplaceAllString(string(want), "0"), digits.ReplaceAllString(text, "0"), text)
}
