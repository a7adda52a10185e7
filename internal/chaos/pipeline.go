package chaos

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	_ "github.com/millrace/millrace/runners/distributed" // what is to be broken
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// taskVar is the variable by which a process knows that it belongs to the job: what it
// holds is a task.
const taskVar = "MILLRACE_CHAOS_TASK"

// task is what all processes of the job have to know.
type task struct {
	Events  uint64
	End     string  // file that says how many events there are, once it is there; "": Events
	Rate    float64 // events a second of each split
	Out     string  // folder for files
	Brokers []string
	Topic   string // for totals; the transactional IDs begin with it
}

// BeJob runs the job that this process was started for, if it was, and does not return.
// Programs that call [Run] call it first.
func BeJob() {
	text := os.Getenv(taskVar)
	if text == "" {
		return
	}
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", taskVar, err)
		os.Exit(1)
	}
	runners.Main(t.build)
	os.Exit(0)
}

const (
	bucketMs = 250 // width of windows, and of what timers end
	gapMs    = 100 // between sessions
)

// build adds the job. What it writes depends on the input alone, not on time, lanes, slots
// or faults; [expect] says what it is:
//
//   - totals, to Kafka: "USER N TOTAL" for each event, by a stateful transform, with costs
//     that a side input has scaled.
//   - windows: one line for each window, the sums of all users in it: two shuffles.
//   - timers: lines of a stateful transform with event timers, one for each user and
//     bucket.
//   - sessions: one line for each session of a user.
//   - checked: one line for each few events of a user that did not fail, by a stateful
//     transform of which some fail behind what they have changed; and aside: one for each
//     event that did.
func (t task) build(p *pipeline.Pipeline) {
	factors := pipeline.AsMap(pipeline.KeyBy(pipeline.Create(p, userNumbers()...), func(u uint64) uint64 { return u }))
	all := pipeline.EventTimeMs(t.read(p), func(e event) int64 { return e.At },
		pipeline.OutOfOrder(2*disorderMs*time.Millisecond), pipeline.AlignedWithin("events", 4*bucketMs*time.Millisecond))
	scaled := pipeline.ParDo(all, func(d *pipeline.DoFn, emit pipeline.Emit[event]) func(pipeline.Elem, event) error {
		side := pipeline.UseView(d, factors)
		return func(_ pipeline.Elem, v event) error {
			v.Cost *= factorOf(side.Get()[v.User])
			emit(v)
			return nil
		}
	})
	byUser := pipeline.KeyBy(scaled, func(e event) uint64 { return e.User })

	totals := pipeline.Stateful(byUser, "totals", totals)
	kafka.Write(totals, "kafka://"+strings.Join(t.Brokers, ",")+"/"+t.Topic, kafka.WithKey(kafka.String(), userOf), kafka.ExactlyOnce(t.Topic), kafka.Linger(time.Millisecond))

	costs := pipeline.MapValues(byUser, func(e event) int64 { return e.Cost })
	sums := transforms.Sum(costs.Windowed(window.Fixed(bucketMs * time.Millisecond)))
	one := pipeline.GroupByKey(pipeline.KeyBy(pipeline.Pairs(sums), func(pipeline.KV[uint64, int64]) string { return "all" }))
	t.write(pipeline.MapKV(one, windowLine), "windows")

	t.write(pipeline.Stateful(byUser, "buckets", buckets), "timers")

	counts := transforms.Count(byUser.Windowed(window.Sessions(gapMs * time.Millisecond)))
	t.write(pipeline.ParDo(pipeline.Pairs(counts), func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[uint64, int64]) error {
		return func(e pipeline.Elem, s pipeline.KV[uint64, int64]) error {
			emit(sessionLine(s.Key, e.Window().Start, e.Window().End, s.Value))
			return nil
		}
	}), "sessions")

	t.write(pipeline.Stateful(byUser, "checked", checked), "checked")
	t.write(pipeline.Map(pipeline.DeadLetters(p), func(l pipeline.DeadLetter) string { return l.Error }), "aside")
}

func (t task) write(lines pipeline.PCollection[string], name string) {
	text.Write(lines, filepath.Join(t.Out, name+".txt"), text.RollBytes(4<<10), text.RollAfter(300*time.Millisecond))
}

func userNumbers() (list []uint64) {
	for u := range uint64(users) {
		list = append(list, u)
	}
	return list
}

// factorOf is what a user's costs are scaled by.
func factorOf(user uint64) int64 { return int64(user%3 + 1) }

func userOf(line string) string {
	user, _, _ := strings.Cut(line, " ")
	return user
}

// totals counts a user's events and adds up their costs.
func totals(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, event, string] {
	count := pipeline.ValueState[int64](s, "count")
	total := pipeline.ValueState[int64](s, "total")
	return func(c *pipeline.Ctx[uint64], e event, emit pipeline.Emit[string]) error {
		count.Set(c, count.Get(c)+1)
		total.Set(c, total.Get(c)+e.Cost)
		emit(totalLine(e.User, count.Get(c), total.Get(c)))
		return nil
	}
}

// buckets counts a user's events by bucket, and says how many there were when the bucket
// is over, with the total of this bucket and all before.
func buckets(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, event, string] {
	counts := pipeline.MapState[int64, int64](s, "counts")
	total := pipeline.ValueState[int64](s, "total")
	over := pipeline.EventTimerFamily(s, "over", func(c *pipeline.Ctx[uint64], tag string, emit pipeline.Emit[string]) error {
		at, err := strconv.ParseInt(tag, 10, 64)
		if err != nil {
			return err
		}
		n, _ := counts.Get(c, at)
		counts.Remove(c, at)
		total.Set(c, total.Get(c)+n)
		emit(timerLine(c.Key(), at, n, total.Get(c)))
		return nil
	})
	return func(c *pipeline.Ctx[uint64], e event, _ pipeline.Emit[string]) error {
		at := bucketOf(e.At)
		n, known := counts.Get(c, at)
		counts.Put(c, at, n+1)
		if !known {
			over.SetMs(c, strconv.FormatInt(at, 10), at+bucketMs-1)
		}
		return nil
	}
}

// checked counts a user's events but those that fail.
func checked(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, event, string] {
	count := pipeline.ValueState[int64](s, "count")
	return func(c *pipeline.Ctx[uint64], e event, emit pipeline.Emit[string]) error {
		n := count.Get(c) + 1
		count.Set(c, n)
		if n%checkedEach == 0 {
			emit(checkedLine(e.User, n))
		}
		if isPoison(e) {
			return errors.New(asideLine(e))
		}
		return nil
	}
}

const checkedEach = 5

// isPoison reports that a transform fails on an event.
func isPoison(e event) bool { return e.N%701 == 5 }

func bucketOf(at int64) int64 { return window.Floor(at, bucketMs, 0) }

func totalLine(user uint64, n, total int64) string { return fmt.Sprintf("%d %d %d", user, n, total) }
func checkedLine(user uint64, n int64) string      { return fmt.Sprintf("%d %d", user, n) }
func asideLine(e event) string                     { return fmt.Sprintf("%d event %d", e.User, e.N) }
func timerLine(user uint64, at, n, total int64) string {
	return fmt.Sprintf("%d %d %d %d", user, at, n, total)
}
func sessionLine(user uint64, start, end, n int64) string {
	return fmt.Sprintf("%d %d %d %d", user, start, end, n)
}

// windowLine is one line of all sums in a window.
func windowLine(_ string, sums iter.Seq[pipeline.KV[uint64, int64]]) string {
	all := slices.SortedFunc(sums, func(a, b pipeline.KV[uint64, int64]) int { return cmp.Compare(a.Key, b.Key) })
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%d=%d ", s.Key, s.Value)
	}
	return b.String()
}
