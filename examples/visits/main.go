// Command visits turns page views into visits: a user's views belong together
// until half an hour passes without one. It is a transform with state and a timer.
//
//	go run ./examples/visits -in 'views-*.json'
package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/io/json"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
)

// view is one page view.
type view struct {
	User string    `json:"user"`
	Page string    `json:"page"`
	At   time.Time `json:"at"`
}

// visit is a user's views without a long pause between them.
type visit struct {
	User       string
	Start, End time.Time
	Pages      int64
}

// pause ends a visit.
const pause = 30 * time.Minute

func main() {
	in := flag.String("in", "examples/visits/testdata/views.json", "page views as lines of JSON, a glob")
	var found *pipeline.Collected[visit]
	runners.Main(func(p *pipeline.Pipeline) {
		found = pipeline.Collect(visits(json.Read[view](p, *in)))
	})
	if found == nil {
		return
	}
	all := found.Values()
	slices.SortFunc(all, func(a, b visit) int {
		if d := strings.Compare(a.User, b.User); d != 0 {
			return d
		}
		return a.Start.Compare(b.Start)
	})
	for _, v := range all {
		fmt.Printf("%-6s %s %2d pages in %v\n", v.User, v.Start.UTC().Format("Jan 2 15:04"), v.Pages, v.End.Sub(v.Start))
	}
}

// visits needs the views in about the order of their times: within an hour.
func visits(views pipeline.PCollection[view]) pipeline.PCollection[visit] {
	timed := pipeline.EventTime(views, func(v view) time.Time { return v.At }, pipeline.OutOfOrder(time.Hour))
	perUser := pipeline.KeyBy(timed, func(v view) string { return v.User })
	return pipeline.Stateful(perUser, "visits", func(s *pipeline.Setup[string, visit]) pipeline.Process[string, view, visit] {
		open := pipeline.OrderedListState[string](s, "open views")

		// due closes the visits that ended a pause before the timer.
		var end pipeline.Timer[string]
		end = pipeline.EventTimer(s, "end", func(c *pipeline.Ctx[string], emit pipeline.Emit[visit]) error {
			v := visit{User: c.Key()}
			for at := range open.All(c) {
				switch {
				case v.Pages == 0:
					v.Start, v.End, v.Pages = at.UTC(), at.UTC(), 1
				case at.Sub(v.End) < pause:
					v.End, v.Pages = at.UTC(), v.Pages+1
				default: // the next visit has begun
					end.Set(c, at.Add(pause))
					emit(v)
					open.ClearRange(c, v.Start, at)
					return nil
				}
			}
			if closes := v.End.Add(pause); closes.After(c.Timestamp()) {
				end.Set(c, closes) // a view came meanwhile
				return nil
			}
			emit(v)
			open.Clear(c)
			return nil
		})
		return func(c *pipeline.Ctx[string], v view, _ pipeline.Emit[visit]) error {
			if open.Len(c) == 0 {
				end.Set(c, v.At.Add(pause))
			}
			open.Add(c, v.At, v.Page)
			return nil
		}
	})
}
