package main

import (
	"cmp"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// bucketOf is the width of windows, in ms of event time: so that there is at most a
// line for each event.
func bucketOf(users uint64) int64 { return max(500, int64(users)) }

// build adds the job under test, which writes two streams of files into dir. What is
// in them depends on the input alone, not on time, lanes or restarts:
//
//   - windows: one line for each window, in order: the sums of all users in it, which
//     come through two shuffles.
//   - users: lines of a stateful transform with timers, one for each user and bucket,
//     with the user's total so far; the lines of a user are in order.
func build(p *pipeline.Pipeline, in *events, dir string, v *voice) {
	bucket := bucketOf(in.users)
	width := time.Duration(bucket) * time.Millisecond
	all := pipeline.EventTimeMs(in.read(p), func(e event) int64 { return e.At },
		pipeline.OutOfOrder(2*disorder*time.Millisecond), pipeline.AlignedWithin("events", 2*width))
	pipeline.Write[event](all, "crash.Mark", &marks{false, v})
	byUser := pipeline.KeyBy(all, func(e event) uint64 { return e.User })

	sums := transforms.Sum(pipeline.MapValues(byUser, func(e event) int64 { return e.Cost }).Windowed(window.Fixed(width)))
	one := pipeline.GroupByKey(pipeline.KeyBy(pipeline.Pairs(sums), func(pipeline.KV[uint64, int64]) string { return "all" }))
	text.Write(pipeline.MapKV(one, windowLine), filepath.Join(dir, "windows.txt"), text.Single(), text.RollBytes(4<<10), text.RollAfter(time.Second))

	lines := pipeline.Stateful(byUser, "totals", totals(bucket))
	text.Write(lines, filepath.Join(dir, "users.txt"), text.RollEach(), text.RollBytes(64<<10))
	none := pipeline.Map(lines, func(string) event { return event{} })
	pipeline.Write[event](none, "crash.Mark", &marks{true, v})
}

// windowLine is one line of all sums in a window.
func windowLine(_ string, sums iter.Seq[pipeline.KV[uint64, int64]]) string {
	all := slices.SortedFunc(sums, func(a, b pipeline.KV[uint64, int64]) int { return cmp.Compare(a.Key, b.Key) })
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d=%d", s.Key, s.Value)
	}
	return b.String()
}

// totals counts a user's events by bucket, and says how many there were when the
// bucket is over, with the total of this bucket and all before.
func totals(bucket int64) func(*pipeline.Setup[uint64, string]) pipeline.Process[uint64, event, string] {
	return func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, event, string] {
		counts := pipeline.MapState[int64, int64](s, "counts")
		total := pipeline.ValueState[int64](s, "total", pipeline.EventTimeTTL(1000*time.Hour))
		recent := pipeline.SetState[uint64](s, "recent", pipeline.TTL(50*time.Millisecond)) // nobody reads it: it comes and goes
		over := pipeline.EventTimerFamily(s, "over", func(c *pipeline.Ctx[uint64], tag string, emit pipeline.Emit[string]) error {
			at, err := strconv.ParseInt(tag, 10, 64)
			if err != nil {
				return err
			}
			n, _ := counts.Get(c, at)
			counts.Remove(c, at)
			total.Set(c, total.Get(c)+n)
			emit(fmt.Sprintf("%d %d %d %d", c.Key(), at, n, total.Get(c)))
			return nil
		})
		return func(c *pipeline.Ctx[uint64], e event, _ pipeline.Emit[string]) error {
			at := e.At - (e.At%bucket+bucket)%bucket
			n, known := counts.Get(c, at)
			counts.Put(c, at, n+1)
			recent.Add(c, e.N)
			if !known {
				over.SetMs(c, strconv.FormatInt(at, 10), at+bucket-1)
			}
			return nil
		}
	}
}
