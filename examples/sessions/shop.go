package main

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
)

// shop makes up clicks.
type shop struct {
	opens  time.Time
	every  time.Duration // of the shop's time, between a click and the next
	rate   float64       // clicks a second of the run; 0: as quick as can be
	count  uint64        // how many there will be; 0: no end of them
	outage bool          // the app is silent between its first click and its last
}

// clicks come from the web and from the app, half of them each.
func (s shop) clicks(p *pipeline.Pipeline) pipeline.PCollection[click] {
	web := generate.Elements(p, func(n uint64) click { return s.click(2 * n) }, s.times(s.rate/2, s.count/2)...)
	if s.outage {
		last := s.click(s.count | 1)
		app := func(n uint64) click { return []click{s.click(1), last}[n] }
		return pipeline.Flatten(web, generate.Elements(p, app, s.times(s.rate/float64(s.count), 2)...))
	}
	app := generate.Elements(p, func(n uint64) click { return s.click(2*n + 1) }, s.times(s.rate/2, s.count/2)...)
	return pipeline.Flatten(web, app)
}

// times is when a source makes count clicks.
func (s shop) times(rate float64, count uint64) []generate.Option {
	opts := []generate.Option{generate.Rate(rate), generate.Splits(1)}
	if count > 0 {
		opts = append(opts, generate.Count(count))
	}
	return opts
}

// click is number n. There are twelve visitors, four at a time. Most clicks come
// within half a minute; one in forty was made twenty or thirty minutes ago, by
// somebody who was there then.
func (s shop) click(n uint64) click {
	dice := n * 0x9e3779b97f4a7c15 >> 32
	at := s.opens.Add(time.Duration(n)*s.every - time.Duration(dice%30)*time.Second)
	if then := at.Add(-time.Duration(20+n/40%2*10) * time.Minute); n%40 == 39 && then.After(s.opens) {
		at = then
	}
	shift := uint64(at.Sub(s.opens)/(5*time.Minute) + 12)
	c := click{User: fmt.Sprintf("user%d", (shift+dice%4)%12), Page: "/things", At: at}
	switch dice / 64 % 20 {
	case 0, 1:
		c.Page = "/basket"
	case 2:
		c.Page = "/thanks"
	}
	return c
}
