package main

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// basket is one that was filled and left.
type basket struct {
	User  string
	Since time.Time
}

func (b basket) String() string {
	return fmt.Sprintf("left     %-6s a basket filled at %s", b.User, clock(b.Since))
}

// leftBaskets tells of each basket that was not paid for within patience. Clicks
// may come out of order: who paid at 9:05 has paid for what was chosen at 9:04,
// whichever is heard of first.
func leftBaskets(perUser pipeline.Keyed[string, click]) pipeline.PCollection[basket] {
	return pipeline.Stateful(perUser, "left baskets", func(s *pipeline.Setup[string, basket]) pipeline.Process[string, click, basket] {
		filled := pipeline.ValueState[int64](s, "filled")
		paid := pipeline.ValueState[int64](s, "paid", pipeline.EventTimeTTL(time.Hour))
		remind := pipeline.EventTimer(s, "remind", func(c *pipeline.Ctx[string], emit pipeline.Emit[basket]) error {
			emit(basket{c.Key(), time.UnixMilli(filled.Get(c)).UTC()})
			filled.Clear(c)
			return nil
		})
		return func(c *pipeline.Ctx[string], v click, _ pipeline.Emit[basket]) error {
			at, since := v.At.UnixMilli(), filled.Get(c)
			switch {
			case v.Page == "/basket" && since == 0 && at > paid.Get(c):
				filled.Set(c, at)
				remind.Set(c, v.At.Add(patience))
			case v.Page == "/thanks":
				paid.Set(c, max(at, paid.Get(c)))
				if since != 0 && since <= at {
					filled.Clear(c)
					remind.Clear(c)
				}
			}
			return nil
		}
	})
}
