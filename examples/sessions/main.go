// Command sessions follows the visitors of a shop while they click: what a visitor
// does without a long pause is a session. It prints how far the sessions are, what
// they were in the end, the clicks that came too late to count, and the baskets
// that somebody filled and left.
//
//	go run ./examples/sessions -rate 100 -duration 5s
//
// The clicks are made up. A second of the run is ten minutes in the shop.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
)

// speed is how much quicker than the run the shop's time passes.
const speed = 600

func main() {
	rate := flag.Float64("rate", 100, "clicks a second, at least 1")
	duration := flag.Duration("duration", 5*time.Second, "how long people come")
	outage := flag.Bool("outage", false, "nothing is heard of the app between its first click and its last")
	idle := flag.Duration("idle", 0, "go on without the web or the app when it has been silent for so long; 0: wait for it")
	runners.Main(func(p *pipeline.Pipeline) {
		if *rate < 1 || *duration < time.Second {
			pipeline.Fail(p, "-rate is %v and -duration %v: want at least 1 and a second", *rate, *duration)
			return
		}
		s := shop{
			opens: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
			every: time.Duration(speed / *rate * float64(time.Second)),
			rate:  *rate, count: uint64(*rate * duration.Seconds()), outage: *outage,
		}
		r := follow(s.clicks(p), *idle)
		show(pipeline.Map(r.visits, visit.String))
		show(pipeline.Map(r.late, lateLine))
		show(pipeline.Map(r.left, basket.String))
	})
}

// show prints lines as they come. Lines of a run that goes back to a snapshot
// may come twice: a sink that must not do that is a pipeline.Sink.
func show(lines pipeline.PCollection[string]) {
	pipeline.ForEach(lines, func(_ context.Context, line string) error {
		_, err := fmt.Println(line)
		return err
	})
}
