package main

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

const (
	pause    = 10 * time.Minute // without a click ends a session
	disorder = time.Minute      // by which clicks may come out of order
	grace    = 15 * time.Minute // for which a session that is over takes clicks that are later than that
	patience = 5 * time.Minute  // that a basket may stand about
)

// click is what a visitor does.
type click struct {
	User, Page string
	At         time.Time
}

// results is what is known of the visitors.
type results struct {
	visits pipeline.PCollection[visit]
	late   pipeline.PCollection[pipeline.KV[string, pipeline.Late[click]]]
	left   pipeline.PCollection[basket]
}

// follow is the whole program, but for where clicks come from and results go to.
func follow(clicks pipeline.PCollection[click], idle time.Duration) (r results) {
	timed := pipeline.EventTime(clicks, func(c click) time.Time { return c.At },
		pipeline.OutOfOrder(disorder), pipeline.IdleAfter(idle))
	perUser := pipeline.KeyBy(timed, func(c click) string { return c.User })
	r.visits, r.late = sessions(perUser)
	r.left = leftBaskets(perUser)
	return r
}

// sessions gives a visit's figures each second while it lasts, when it is over,
// and again when clicks come afterwards.
func sessions(perUser pipeline.Keyed[string, click]) (pipeline.PCollection[visit], pipeline.PCollection[pipeline.KV[string, pipeline.Late[click]]]) {
	windowed := perUser.Windowed(window.Sessions(pause),
		window.Triggering(window.AfterWatermark().
			Early(window.AfterProcessingTime(time.Second)).
			Late(window.AfterCount(1))),
		window.AllowedLateness(grace),
		window.Accumulating(),
		window.OnTimeBehavior(window.OnTimeAlways))
	var late pipeline.Keyed[string, pipeline.Late[click]]
	figures := pipeline.CombinePerKey(windowed, tallies, pipeline.LateTo(&late))
	visits := pipeline.ParDo(pipeline.Pairs(figures), func(_ *pipeline.DoFn, emit pipeline.Emit[visit]) func(pipeline.Elem, pipeline.KV[string, tally]) error {
		return func(e pipeline.Elem, kv pipeline.KV[string, tally]) error {
			w := e.Window()
			emit(visit{kv.Key, kv.Value.Clicks, kv.Value.Orders, time.UnixMilli(w.Start).UTC(), time.UnixMilli(w.End).UTC().Add(-pause), e.Pane().Timing})
			return nil
		}
	})
	return visits, pipeline.Pairs(late)
}

// tally is the figures of a visit.
type tally struct{ Clicks, Orders int64 }

var tallies = pipeline.Combiner[click, tally, tally]{
	Add: func(t *tally, c click) {
		t.Clicks++
		if c.Page == "/thanks" {
			t.Orders++
		}
	},
	Merge:   func(t *tally, o tally) { t.Clicks, t.Orders = t.Clicks+o.Clicks, t.Orders+o.Orders },
	Extract: func(t tally) tally { return t },
}

// visit is a session as it stands.
type visit struct {
	User           string
	Clicks, Orders int64
	From, To       time.Time // first click and last
	Timing         window.Timing
}

func (v visit) String() string {
	return fmt.Sprintf("%-8v %-6s %s-%s %3d clicks %2d orders", v.Timing, v.User, clock(v.From), clock(v.To), v.Clicks, v.Orders)
}

func lateLine(kv pipeline.KV[string, pipeline.Late[click]]) string {
	behind := time.UnixMilli(kv.Value.Watermark).Sub(kv.Value.Value.At).Round(time.Second)
	return fmt.Sprintf("too late %-6s %s %v behind the watermark", kv.Key, clock(kv.Value.Value.At), behind)
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }
