package docs_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// printAll runs p and prints c's elements, sorted.
func printAll[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) {
	out := pipeline.Collect(c)
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		log.Fatal(err)
	}
	var lines []string
	for _, v := range out.Values() {
		lines = append(lines, fmt.Sprint(v))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

// seconds is a collection of the numbers 0 to n-1, number s at second s.
func seconds(p *pipeline.Pipeline, n uint64) pipeline.PCollection[uint64] {
	return pipeline.EventTime(pipeline.GenerateSequence(p, n), func(s uint64) time.Time { return time.Unix(int64(s), 0) })
}

// Each reading is held against the mean of its own minute.
func Example_sideInputInWindows() {
	p := pipeline.New()
	readings := seconds(p, 120)
	perMinute := readings.Windowed(window.Fixed(time.Minute))
	mean := pipeline.AsSingleton(transforms.MeanGlobally(perMinute))
	high := pipeline.ParDo(perMinute, func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
		usual := pipeline.UseView(d, mean)
		return func(_ pipeline.Elem, v uint64) error {
			if float64(v) > usual.Get()+29 {
				emit(v)
			}
			return nil
		}
	})
	printAll(p, high)
	// Output:
	// 119
	// 59
}

// limit is from where on a reading is to be reported.
type limit struct{ Least uint64 }

// above reports the readings that are at or above the limit when they come.
func above(perDevice pipeline.Keyed[string, uint64], limits pipeline.PCollection[limit]) pipeline.PCollection[uint64] {
	return pipeline.Stateful(perDevice, "above", func(s *pipeline.Setup[string, uint64]) pipeline.Process[string, uint64, uint64] {
		now := pipeline.BroadcastState(s, "limit", limits, func(l *limit, next limit) { *l = next })
		return func(_ *pipeline.Ctx[string], v uint64, emit pipeline.Emit[uint64]) error {
			if v >= now.Get().Least {
				emit(v)
			}
			return nil
		}
	})
}

// The limit changes while readings come.
func TestAbove(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		limits, readings := pipelinetest.NewScript[limit](t), pipelinetest.NewScript[uint64](t)
		limits.AddMs(0, limit{10})
		some := readings.AddMs(1, 5, 10, 30)
		limits.AddMs(1, limit{20})
		few := readings.AddMs(2, 5, 10, 30)

		perDevice := pipeline.KeyBy(pipelinetest.Stream(p, readings), func(uint64) string { return "d" })
		reports := above(perDevice, pipelinetest.Stream(p, limits))
		pipelinetest.EqualAt(t, reports, some, 10, 30)
		pipelinetest.EqualAt(t, reports, few, 30)
	})
}

// The sums of the numbers of each minute.
func Example_windowed() {
	p := pipeline.New()
	perMinute := transforms.SumGlobally(seconds(p, 180).Windowed(window.Fixed(time.Minute)))
	printAll(p, perMinute)
	// Output:
	// 1770
	// 5370
	// 8970
}

// picture is the elements of watermark.svg: minutes, in the order in which they come.
var picture = []int64{1, 4, 3, 8, 11, 7, 13, 6, 17, 23}

// Goal: the picture shows what happens.
func TestPicture(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		var steps []pipelinetest.Step
		for _, m := range picture {
			steps = append(steps, s.AddMs(0, m))
		}
		timed := pipeline.EventTime(pipelinetest.Stream(p, s), func(m int64) time.Time { return time.UnixMilli(m * 60_000) }, pipeline.OutOfOrder(2*time.Minute))
		perKey := pipeline.KeyBy(timed, func(int64) string { return "all" }).Windowed(window.Fixed(10 * time.Minute))
		var late pipeline.Keyed[string, pipeline.Late[int64]]
		counts := pipeline.Pairs(transforms.Count(perKey, pipeline.LateTo(&late)))
		lateMinutes := pipeline.MapKV(late, func(_ string, l pipeline.Late[int64]) int64 { return l.Value })
		pipelinetest.EmptyBefore(t, counts, steps[6])
		pipelinetest.EqualAt(t, counts, steps[6], pipeline.NewKV("all", int64(5)))
		pipelinetest.EqualAt(t, lateMinutes, steps[7], 6)
		pipelinetest.EqualAt(t, counts, steps[9], pipeline.NewKV("all", int64(3)))
	})
}

// Records that are no orders are set aside, in a topic of their own.
func Example_badRecords() {
	type order struct{ ID string }
	const brokers = "kafka://localhost:9092"
	p := pipeline.New()
	orders, bad := kafka.ReadWithBad(p, brokers+"/orders", kafka.JSON[order](), kafka.Named("orders"))
	kafka.WriteBad(bad, brokers+"/orders-bad", kafka.Named("bad orders"), kafka.CreateTopic(1, -1, nil))
	pipeline.Collect(orders)
	fmt.Println(p.Err())
	// Output: <nil>
}
