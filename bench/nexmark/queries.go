package main

import (
	"strings"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// checksum is what one lane has seen; padded, so that lanes don't share a cache line.
type checksum struct {
	count, sum uint64
	_          [112]byte
}

// check ends a query: it counts the outputs and adds up their hashes.
func check(c pipeline.PCollection[uint64]) *[1024]checksum {
	var lanes [1024]checksum
	pipeline.ForEachLane(c, func(lane int) func(uint64) {
		l := &lanes[lane]
		return func(h uint64) { l.count++; l.sum += h }
	})
	return &lanes
}

// queries build each query of n events; what they return is read after the run.
var queries = map[string]func(p *pipeline.Pipeline, n uint64) *[1024]checksum{
	// q0 passes every bid through.
	"q0": func(p *pipeline.Pipeline, n uint64) *[1024]checksum {
		return check(pipeline.Map(bids(p, n), func(b gen.Bid) uint64 {
			return gen.H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))
		}))
	},

	// q1 converts the price of every bid.
	"q1": func(p *pipeline.Pipeline, n uint64) *[1024]checksum {
		euros := pipeline.Map(bids(p, n), func(b gen.Bid) gen.Bid {
			b.Price = b.Price * 908 / 1000
			return b
		})
		return check(pipeline.Map(euros, func(b gen.Bid) uint64 {
			return gen.H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))
		}))
	},

	// q2 selects the bids on some auctions.
	"q2": func(p *pipeline.Pipeline, n uint64) *[1024]checksum {
		some := bids(p, n).Filter(func(b gen.Bid) bool { return b.Auction%123 == 0 })
		return check(pipeline.Map(some, func(b gen.Bid) uint64 { return gen.H2(b.Auction, b.Price) }))
	},

	// w1 counts the words of n lines.
	"w1": func(p *pipeline.Pipeline, n uint64) *[1024]checksum {
		lines := pipeline.Generate(p, n, func(i uint64, s *string) { *s = gen.TextLine(i) })
		words := pipeline.FlatMapEmit(lines, func(line string, emit pipeline.Emit[string]) {
			for line != "" {
				word, rest, _ := strings.Cut(line, " ")
				emit(word)
				line = rest
			}
		})
		counts := transforms.Count(pipeline.KeyBy(words, func(w string) string { return w }))
		return check(pipeline.MapKV(counts, func(w string, n int64) uint64 { return gen.H2(gen.Fnv(w), uint64(n)) }))
	},

	// w2 is the running count of bids for each bidder.
	"w2": func(p *pipeline.Pipeline, n uint64) *[1024]checksum {
		perBidder := pipeline.KeyBy(bids(p, n), func(b gen.Bid) uint64 { return b.Bidder })
		return check(pipeline.Stateful(perBidder, "running", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, gen.Bid, uint64] {
			count := pipeline.ValueState[uint64](s, "count")
			return func(c *pipeline.Ctx[uint64], b gen.Bid, emit pipeline.Emit[uint64]) error {
				n := count.Get(c) + 1
				count.Set(c, n)
				emit(gen.H2(b.Bidder, n))
				return nil
			}
		}))
	},
}
