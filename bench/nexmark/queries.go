package main

import (
	"strings"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// outcome is what one lane has seen; padded, so that lanes don't share a cache line.
type outcome struct {
	count, sum uint64
	late       *histogram // nil without a pace
	_          [104]byte
}

type outcomes [1024]outcome

// check ends a query: it counts the outputs and adds up their hashes.
func (w workload) check(c pipeline.PCollection[uint64], event func(ts int64) uint64) *outcomes {
	var lanes outcomes
	if w.pace != nil {
		c = pipeline.ParDo(c, func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
			h := &histogram{}
			lanes[d.Lane()].late = h
			return func(e pipeline.Elem, v uint64) error {
				h.add(w.pace.late(event(e.TimestampMs())))
				emit(v)
				return nil
			}
		})
	}
	if w.tallied {
		pipeline.Write[uint64](c, "nexmark.Tally", tally{&lanes, w.tallies})
		return &lanes
	}
	pipeline.ForEachLane(c, func(lane int) func(uint64) {
		l := &lanes[lane]
		return func(h uint64) { l.count++; l.sum += h }
	})
	return &lanes
}

// numbered is the event whose time is its number, as that of a paced source.
func numbered(ts int64) uint64 { return uint64(ts) }

// queries build each query; what they return is read after the run.
var queries = map[string]func(p *pipeline.Pipeline, w workload) *outcomes{
	"q0": q0, "q1": q1, "q2": q2, "q3": q3, "q5": q5, "q7": q7, "w1": w1, "w2": w2, "w3": w3,
}

// q0 passes every bid through.
func q0(p *pipeline.Pipeline, w workload) *outcomes {
	return w.check(pipeline.Map(w.bids(p), func(b gen.Bid) uint64 {
		return gen.H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))
	}), numbered)
}

// q1 converts the price of every bid.
func q1(p *pipeline.Pipeline, w workload) *outcomes {
	euros := pipeline.Map(w.bids(p), func(b gen.Bid) gen.Bid {
		b.Price = b.Price * 908 / 1000
		return b
	})
	return w.check(pipeline.Map(euros, func(b gen.Bid) uint64 {
		return gen.H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))
	}), numbered)
}

// q2 selects the bids on some auctions.
func q2(p *pipeline.Pipeline, w workload) *outcomes {
	some := w.bids(p).Filter(func(b gen.Bid) bool { return b.Auction%123 == 0 })
	return w.check(pipeline.Map(some, func(b gen.Bid) uint64 { return gen.H2(b.Auction, b.Price) }), numbered)
}

// seller is who sells, and where from: of a person, what q3 shows.
type seller struct{ Name, City, State string }

// listing is a seller or an auction of that seller.
type listing struct {
	Seller  seller
	Auction uint64 // 0: the seller
}

// q3 joins the persons of three states with their auctions of one category,
// whichever comes first.
func q3(p *pipeline.Pipeline, w workload) *outcomes {
	persons := w.persons(p).Filter(func(p gen.Person) bool { return p.State == "OR" || p.State == "ID" || p.State == "CA" })
	auctions := w.auctions(p).Filter(func(a gen.Auction) bool { return a.Category == 10 })
	sellers := pipeline.MapValues(pipeline.KeyBy(persons, func(p gen.Person) uint64 { return p.ID }), func(p gen.Person) listing {
		return listing{Seller: seller{p.Name, p.City, p.State}}
	})
	sales := pipeline.MapValues(pipeline.KeyBy(auctions, func(a gen.Auction) uint64 { return a.Seller }), func(a gen.Auction) listing {
		return listing{Auction: a.ID}
	})
	return w.check(pipeline.Stateful(pipeline.FlattenKeyed(sellers, sales), "join", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, listing, uint64] {
		known := pipeline.ValueState[seller](s, "seller")
		waiting := pipeline.BagState[uint64](s, "waiting")
		hash := func(s seller, auction uint64) uint64 {
			return gen.H4(gen.Fnv(s.Name), gen.Fnv(s.City), gen.Fnv(s.State), auction)
		}
		return func(c *pipeline.Ctx[uint64], l listing, emit pipeline.Emit[uint64]) error {
			if l.Auction == 0 {
				known.Set(c, l.Seller)
				for _, a := range waiting.Get(c) {
					emit(hash(l.Seller, a))
				}
				waiting.Clear(c)
			} else if s, ok := known.Lookup(c); ok {
				emit(hash(s, l.Auction))
			} else {
				waiting.Add(c, l.Auction)
			}
			return nil
		}
	}), numbered)
}

// timed is the bids with their event time.
func (w workload) timed(p *pipeline.Pipeline) pipeline.PCollection[gen.Bid] {
	return pipeline.EventTimeMs(w.bids(p), func(b gen.Bid) int64 { return b.TS }, pipeline.OutOfOrder(gen.OutOfOrder))
}

// hot is the auctions with the most bids: all that tie.
type hot struct {
	Bids     int64
	Auctions []uint64
}

// hottest combines counts of bids into the auctions that have the most.
func hottest() pipeline.Combiner[pipeline.KV[uint64, int64], hot, hot] {
	return pipeline.Combiner[pipeline.KV[uint64, int64], hot, hot]{
		Add: func(h *hot, c pipeline.KV[uint64, int64]) {
			if c.Value < h.Bids {
				return
			}
			if c.Value > h.Bids {
				h.Bids, h.Auctions = c.Value, h.Auctions[:0]
			}
			h.Auctions = append(h.Auctions, c.Key)
		},
		Merge: func(h *hot, o hot) {
			if o.Bids > h.Bids {
				*h = o
			} else if o.Bids == h.Bids {
				h.Auctions = append(h.Auctions, o.Auctions...)
			}
		},
		Extract: func(h hot) hot { return h },
	}
}

// q5 finds the auctions with the most bids in the last 10 s, every 2 s.
func q5(p *pipeline.Pipeline, w workload) *outcomes {
	perAuction := pipeline.KeyBy(w.timed(p), func(b gen.Bid) uint64 { return b.Auction })
	counts := transforms.Count(perAuction.Windowed(window.Sliding(10*time.Second, 2*time.Second)))
	most := pipeline.CombineGlobally(pipeline.Pairs(counts), hottest())
	return w.check(pipeline.ParDo(most, func(_ *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, hot) error {
		return func(e pipeline.Elem, h hot) error {
			for _, a := range h.Auctions {
				emit(gen.H3(a, uint64(h.Bids), uint64(e.Window().End)))
			}
			return nil
		}
	}), closedBy)
}

// highest combines bids into those of the highest price: all that tie.
func highest() pipeline.Combiner[gen.Bid, []gen.Bid, []gen.Bid] {
	add := func(best *[]gen.Bid, b gen.Bid) {
		if len(*best) > 0 {
			if b.Price < (*best)[0].Price {
				return
			}
			if b.Price > (*best)[0].Price {
				*best = (*best)[:0]
			}
		}
		*best = append(*best, b)
	}
	return pipeline.Combiner[gen.Bid, []gen.Bid, []gen.Bid]{
		Add: add,
		Merge: func(best *[]gen.Bid, other []gen.Bid) {
			for _, b := range other {
				add(best, b)
			}
		},
		Extract: func(best []gen.Bid) []gen.Bid { return best },
	}
}

// q7 finds the highest bids of every 10 s.
func q7(p *pipeline.Pipeline, w workload) *outcomes {
	best := pipeline.CombineGlobally(w.timed(p).Windowed(window.Fixed(10*time.Second)), highest())
	return w.check(pipeline.ParDo(best, func(_ *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, []gen.Bid) error {
		return func(e pipeline.Elem, bids []gen.Bid) error {
			for _, b := range bids {
				emit(gen.H5(uint64(e.Window().End), b.Price, b.Auction, b.Bidder, uint64(b.TS)))
			}
			return nil
		}
	}), closedBy)
}

// w1 counts the words of n lines.
func w1(p *pipeline.Pipeline, w workload) *outcomes {
	if w.pace != nil {
		panic("BUG: nexmark: w1 has no pace")
	}
	lines := read(p, "nexmark.Lines", w, func(s *string, n uint64) bool { *s = gen.TextLine(n); return true })
	words := pipeline.FlatMapEmit(lines, func(line string, emit pipeline.Emit[string]) {
		for line != "" {
			word, rest, _ := strings.Cut(line, " ")
			emit(word)
			line = rest
		}
	})
	counts := transforms.Count(pipeline.KeyBy(words, func(w string) string { return w }))
	return w.check(pipeline.MapKV(counts, func(w string, n int64) uint64 { return gen.H2(gen.Fnv(w), uint64(n)) }), numbered)
}

// w2 is the running count of bids for each bidder.
func w2(p *pipeline.Pipeline, w workload) *outcomes {
	perBidder := pipeline.KeyBy(w.bids(p), func(b gen.Bid) uint64 { return b.Bidder })
	return w.check(pipeline.Stateful(perBidder, "running", running[gen.Bid]), numbered)
}

// w3 is the running count of each of a million keys.
func w3(p *pipeline.Pipeline, w workload) *outcomes {
	perKey := pipeline.KeyBy(w.keys(p), func(k uint64) uint64 { return k })
	return w.check(pipeline.Stateful(perKey, "running", running[uint64]), numbered)
}

// running counts the values of each key and emits each count.
func running[V any](s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, V, uint64] {
	count := pipeline.ValueState[uint64](s, "count")
	return func(c *pipeline.Ctx[uint64], _ V, emit pipeline.Emit[uint64]) error {
		n := count.Get(c) + 1
		count.Set(c, n)
		emit(gen.H2(c.Key(), n))
		return nil
	}
}
