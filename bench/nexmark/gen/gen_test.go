package gen

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the figures of NEXMARK.md, section 7, which implementations in three
// languages have reached.
func TestKnownAnswers(t *testing.T) {
	assert.Equal(t, uint64(0x5692161d100b05e5), Mix64(1))
	assert.Equal(t, uint64(0xbdd732262feb6e95), word(origin(0), 0))
	assert.Equal(t, uint64(0xbdafdc030b950381), word(origin(1234567), 3))
	for i, k := range []uint64{k1, k2, k3, k4, k5} {
		assert.Equal(t, Mix64(uint64(i+1))|1, k, "K_%d", i+1)
	}
	assert.Equal(t, "txlo rlhunra rselyd tcbgbee ujvbpiuqug jmbex zxjb njijmbg ijwlibtd qystln", TextLine(0))
}

func TestFnv_isTheLibrarys(t *testing.T) {
	for _, s := range []string{"", "a", "Kate Noris", "größer"} {
		h := fnv.New64a()
		h.Write([]byte(s))
		assert.Equal(t, h.Sum64(), Fnv(s), "%q", s)
	}
}

func TestFill_knownEvents(t *testing.T) {
	for _, tc := range []struct {
		n    uint64
		want Event
	}{
		{0, Event{Kind: IsPerson, TS: 1699999999259, Person: Person{1000, "Paul Spencer", "Boise", "AZ", 1699999999259}}},
		{1, Event{Kind: IsAuction, TS: 1699999999661, Auction: Auction{1000, 1000, 11, 1700000000900, 1699999999661}}},
		{4, Event{Kind: IsBid, TS: 1699999999353, Bid: Bid{1002, 1001, 12552, 1699999999353}}},
		{5, Event{Kind: IsBid, TS: 1699999999470, Bid: Bid{1000, 1000, 812518, 1699999999470}}},
		{1234550, Event{Kind: IsPerson, TS: 1700000122760, Person: Person{25691, "Kate Noris", "Boise", "OR", 1700000122760}}},
		{1234551, Event{Kind: IsAuction, TS: 1700000122550, Auction: Auction{75073, 25600, 13, 1700000124389, 1700000122550}}},
		{1234567, Event{Kind: IsBid, TS: 1700000123393, Bid: Bid{75000, 25094, 194, 1700000123393}}},
		{9999999, Event{Kind: IsBid, TS: 1700000999197, Bid: Bid{600900, 200251, 289715, 1700000999197}}},
	} {
		t.Run(fmt.Sprint(tc.n), func(t *testing.T) {
			var e Event
			Fill(&e, tc.n)
			assert.Equal(t, tc.want, e)
		})
	}
}

// Goal: one pass over 10,000 events, against the figure that NEXMARK.md gives
// for a Python script, by both ways of making a bid.
func TestFillBid_agreesWithFill(t *testing.T) {
	var count, sum uint64
	for n := range uint64(10_000) {
		var e Event
		Fill(&e, n)
		b := Bid{Auction: 7}
		if !FillBid(&b, n) {
			require.NotEqual(t, IsBid, e.Kind, "event %d", n)
			require.Equal(t, Bid{Auction: 7}, b, "event %d: no bid, and b was written to", n)
			continue
		}
		require.Equal(t, IsBid, e.Kind, "event %d", n)
		require.Equal(t, e.Bid, b, "event %d", n)
		count++
		sum += H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))
	}
	assert.Equal(t, uint64(9200), count)
	assert.Equal(t, uint64(0xe7637bb59f99ccdd), sum)
}

func TestFill_isLessThanOutOfOrderLate(t *testing.T) {
	var latest int64
	var e Event
	for n := range uint64(100_000) {
		Fill(&e, n)
		require.Less(t, latest-e.TS, OutOfOrder.Milliseconds(), "event %d", n)
		latest = max(latest, e.TS)
	}
}

// Goal: the generator itself, over whole queries: every one that a plain loop
// without windows computes, with the result that all engines must reach.
func TestExpected_isReachedByPlainLoops(t *testing.T) {
	const n = 1_000_000
	for query, loop := range map[string]func(add func(hash uint64)){
		"q0": func(add func(uint64)) {
			eachBid(n, func(b *Bid) { add(H4(b.Auction, b.Bidder, b.Price, uint64(b.TS))) })
		},
		"q1": func(add func(uint64)) {
			eachBid(n, func(b *Bid) { add(H4(b.Auction, b.Bidder, b.Price*908/1000, uint64(b.TS))) })
		},
		"q2": func(add func(uint64)) {
			eachBid(n, func(b *Bid) {
				if b.Auction%123 == 0 {
					add(H2(b.Auction, b.Price))
				}
			})
		},
		"q3": func(add func(uint64)) { q3(n, add) },
		"w2": func(add func(uint64)) {
			counts := map[uint64]uint64{}
			eachBid(n, func(b *Bid) {
				counts[b.Bidder]++
				add(H2(b.Bidder, counts[b.Bidder]))
			})
		},
		"w3": func(add func(uint64)) {
			counts := make([]uint64, Keys)
			for i := range uint64(n) {
				k := Key(i)
				counts[k]++
				add(H2(k, counts[k]))
			}
		},
	} {
		t.Run(query, func(t *testing.T) { assertExpected(t, query, n, loop) })
	}
	t.Run("w1", func(t *testing.T) {
		assertExpected(t, "w1", 100_000, func(add func(uint64)) {
			counts := map[string]uint64{}
			for i := range uint64(100_000) {
				for word := range strings.FieldsSeq(TextLine(i)) {
					counts[word]++
				}
			}
			for word, n := range counts {
				add(H2(Fnv(word), n))
			}
		})
	})
}

func assertExpected(t *testing.T, query string, n uint64, loop func(add func(uint64))) {
	var count, sum uint64
	loop(func(hash uint64) { count++; sum += hash })
	wantCount, wantSum, ok := Expected(query, n)
	require.True(t, ok, "no expected result on file")
	assert.Equal(t, wantCount, count)
	assert.Equal(t, wantSum, fmt.Sprintf("%016x", sum))
}

func eachBid(n uint64, f func(*Bid)) {
	var b Bid
	for i := range n {
		if FillBid(&b, i) {
			f(&b)
		}
	}
}

func q3(n uint64, add func(hash uint64)) {
	persons := map[uint64]Person{}
	waiting := map[uint64][]uint64{}
	join := func(p Person, auction uint64) { add(H4(Fnv(p.Name), Fnv(p.City), Fnv(p.State), auction)) }
	var e Event
	for i := range n {
		Fill(&e, i)
		switch p, a := e.Person, e.Auction; {
		case e.Kind == IsPerson && (p.State == "OR" || p.State == "ID" || p.State == "CA"):
			persons[p.ID] = p
			for _, auction := range waiting[p.ID] {
				join(p, auction)
			}
			delete(waiting, p.ID)
		case e.Kind == IsAuction && a.Category == 10:
			if p, ok := persons[a.Seller]; ok {
				join(p, a.ID)
			} else {
				waiting[a.Seller] = append(waiting[a.Seller], a.ID)
			}
		}
	}
}

func TestExpected_unknownRun(t *testing.T) {
	_, _, ok := Expected("q0", 17)
	assert.False(t, ok)
	_, _, ok = Expected("q99", 1_000_000)
	assert.False(t, ok)
}

func TestAllocations(t *testing.T) {
	var e Event
	var b Bid
	var n uint64
	buf := make([]byte, 0, lineMax)
	for name, tc := range map[string]struct {
		want float64
		f    func()
	}{
		"Fill":           {0, func() { Fill(&e, n); n++ }},
		"FillBid":        {0, func() { FillBid(&b, n); n++ }},
		"AppendTextLine": {0, func() { AppendTextLine(buf, n); n++ }},
		"TextLine":       {1, func() { TextLine(n); n++ }},
	} {
		assert.Equal(t, tc.want, testing.AllocsPerRun(100, tc.f), name)
	}
}

func BenchmarkFill(b *testing.B) {
	b.ReportAllocs()
	var e Event
	var n uint64
	for b.Loop() {
		Fill(&e, n)
		n++
	}
}

func BenchmarkFillBid(b *testing.B) {
	b.ReportAllocs()
	var bid Bid
	var n uint64
	for b.Loop() {
		FillBid(&bid, n)
		n++
	}
}

func BenchmarkTextLine(b *testing.B) {
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		TextLine(n)
		n++
	}
}
