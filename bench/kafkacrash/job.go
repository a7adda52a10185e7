package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// childVar is the variable by which a process knows that it is the job: what it holds is
// a task.
const childVar = "MILLRACE_KAFKACRASH_CHILD"

// task is what a child has to do.
type task struct {
	Brokers    []string
	Name       string // begins the names of topics and of transactional ids
	StateDir   string
	Lanes      int
	Checkpoint time.Duration
}

func (t task) in() string     { return t.Name + "-in" }
func (t task) totals() string { return t.Name + "-totals" }
func (t task) sums() string   { return t.Name + "-sums" }

func (t task) url(topic string) string {
	return "kafka://" + strings.Join(t.Brokers, ",") + "/" + topic
}

// beChild does the task that this process was started for, if it was.
func beChild() {
	line := os.Getenv(childVar)
	if line == "" {
		return
	}
	var t task
	err := json.Unmarshal([]byte(line), &t)
	if err == nil {
		err = t.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "the job has ended:", err)
	os.Exit(1)
}

func (t task) run(ctx context.Context) error {
	p := pipeline.New()
	t.build(p)
	_, err := local.Run(ctx, p, local.Config{
		Parallelism: t.Lanes, StateDir: t.StateDir, Checkpoint: t.Checkpoint,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return err
}

// width is that of windows.
const width = time.Second

// event is a record of the input: "USER COST", at its time.
type event struct {
	User string
	Cost int64
}

// end is the user of records that only bring time on.
const end = "end"

func decode(r *kafka.Record) (e event, err error) {
	_, err = fmt.Sscan(string(r.Value), &e.User, &e.Cost)
	return e, err
}

// build adds the job. What it writes depends on the input alone, not on time, lanes or
// restarts:
//
//   - totals: "USER N TOTAL" for each record, by a stateful transform: the order of a
//     user's records is that of its partition.
//   - sums: "USER WINDOW SUM" for each user and window.
func (t task) build(p *pipeline.Pipeline) {
	say := sync.OnceFunc(func() { fmt.Println("runs") })
	all := kafka.Read(p, t.url(t.in()), kafka.Format[event]{Name: "event", Decode: decode},
		kafka.Start(kafka.Earliest()), kafka.IdleAfter(0), kafka.MaxWait(50*time.Millisecond))
	users := pipeline.KeyBy(pipeline.Filter(all, func(e event) bool { say(); return e.User != end }), func(e event) string { return e.User })
	totals := pipeline.Stateful(users, "totals", func(s *pipeline.Setup[string, string]) pipeline.Process[string, event, string] {
		count := pipeline.ValueState[int64](s, "count")
		total := pipeline.ValueState[int64](s, "total")
		return func(c *pipeline.Ctx[string], e event, emit pipeline.Emit[string]) error {
			count.Set(c, count.Get(c)+1)
			total.Set(c, total.Get(c)+e.Cost)
			emit(fmt.Sprintf("%s %d %d", e.User, count.Get(c), total.Get(c)))
			return nil
		}
	})
	costs := pipeline.MapValues(users, func(e event) int64 { return e.Cost })
	sums := pipeline.ParDo(pipeline.Pairs(transforms.Sum(costs.Windowed(window.Fixed(width)))), func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[string, int64]) error {
		return func(e pipeline.Elem, s pipeline.KV[string, int64]) error {
			emit(sumLine(s.Key, e.Window().Start, s.Value))
			return nil
		}
	})
	for _, out := range []struct {
		name, topic string
		lines       pipeline.PCollection[string]
	}{{"totals out", t.totals(), totals}, {"sums out", t.sums(), sums}} {
		kafka.Write(out.lines, t.url(out.topic), kafka.WithKey(kafka.String(), userOf), kafka.Named(out.name), kafka.ExactlyOnce(out.topic), kafka.Linger(time.Millisecond))
	}
}

func sumLine(user string, start, sum int64) string { return fmt.Sprintf("%s %d %d", user, start, sum) }

func userOf(line string) string {
	user, _, _ := strings.Cut(line, " ")
	return user
}
