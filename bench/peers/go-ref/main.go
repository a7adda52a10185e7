// Command goref: hand-written single-threaded loops for the queries of NEXMARK.md: what the machine can do with no engine.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type out struct{ count, sum uint64 }

func (o *out) add(h uint64) { o.count++; o.sum += h }

func main() {
	q := os.Args[1]
	n, _ := strconv.ParseUint(os.Args[2], 10, 64)
	f, ok := queries[q]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such query:", q)
		os.Exit(2)
	}
	var w []string
	if q == "w1" {
		w = vocabulary()
	}
	words = w
	t := time.Now()
	var o out
	f(n, &o)
	s := time.Since(t).Seconds()
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	cpu := float64(ru.Utime.Sec+ru.Stime.Sec) + float64(ru.Utime.Usec+ru.Stime.Usec)/1e6
	fmt.Printf("{\"engine\":\"go-loop\",\"query\":%q,\"par\":1,\"events\":%d,\"seconds\":%.3f,\"events_per_s\":%.0f,\"out_count\":%d,\"checksum\":\"%016x\",\"rss_mb\":%d,\"cpu_s\":%.2f,\"ns_per_event\":%.2f}\n",
		q, n, s, float64(n)/s, o.count, o.sum, rssMB(), cpu, s*1e9/float64(n))
}

func rssMB() int {
	b, _ := os.ReadFile("/proc/self/status")
	for l := range strings.Lines(string(b)) {
		if strings.HasPrefix(l, "VmHWM:") {
			k, _ := strconv.Atoi(strings.Fields(l)[1])
			return k / 1024
		}
	}
	return -1
}

var words []string

var queries = map[string]func(n uint64, o *out){
	"gen": func(n uint64, o *out) { // generator alone
		var e ev
		for i := range n {
			fill(&e, i)
			o.sum += uint64(e.ts)
		}
	},
	"q0": func(n uint64, o *out) {
		var e ev
		for i := range n {
			fill(&e, i)
			if e.kind == bid {
				o.add(h4(e.auction, e.bidder, e.price, uint64(e.ts)))
			}
		}
	},
	"q1": func(n uint64, o *out) {
		var e ev
		for i := range n {
			fill(&e, i)
			if e.kind == bid {
				o.add(h4(e.auction, e.bidder, e.price*908/1000, uint64(e.ts)))
			}
		}
	},
	"q2": func(n uint64, o *out) {
		var e ev
		for i := range n {
			fill(&e, i)
			if e.kind == bid && e.auction%123 == 0 {
				o.add(h2(e.auction, e.price))
			}
		}
	},
	"q3": q3, "q5": q5, "q7": q7, "w1": w1,
	"w2": func(n uint64, o *out) {
		var e ev
		m := map[uint64]uint64{}
		for i := range n {
			fill(&e, i)
			if e.kind == bid {
				c := m[e.bidder] + 1
				m[e.bidder] = c
				o.add(h2(e.bidder, c))
			}
		}
	},
	"w3": func(n uint64, o *out) {
		m := map[uint64]uint64{}
		for i := range n {
			k := key1m(i)
			c := m[k] + 1
			m[k] = c
			o.add(h2(k, c))
		}
	},
	"text": func(n uint64, o *out) { // write the text itself to stdout2 (fd 3), for engines that read a file
		f := bufio.NewWriterSize(os.NewFile(3, "text"), 1<<20)
		defer f.Flush()
		words = vocabulary()
		var b []byte
		for i := range n {
			b = append(textLine(b[:0], i), '\n')
			f.Write(b)
			o.count += uint64(len(b))
		}
	},
}

func textLine(b []byte, i uint64) []byte {
	for k := range uint64(10) {
		if k > 0 {
			b = append(b, ' ')
		}
		b = append(b, words[wordRank(10*i+k)]...)
	}
	return b
}

func w1(n uint64, o *out) {
	m := map[string]*uint64{}
	var b []byte
	for i := range n {
		b = textLine(b[:0], i)
		for l := b; l != nil; {
			w, rest, found := bytes.Cut(l, []byte{' '})
			if p := m[string(w)]; p != nil {
				*p++
			} else {
				c := uint64(1)
				m[string(w)] = &c
			}
			if !found {
				break
			}
			l = rest
		}
	}
	for w, c := range m {
		o.add(h2(fnv(w), *c))
	}
}

func q3(n uint64, o *out) {
	type ps struct{ name, city, state string }
	var e ev
	persons := map[uint64]ps{}
	waiting := map[uint64][]uint64{}
	emit := func(p ps, a uint64) { o.add(h4(fnv(p.name), fnv(p.city), fnv(p.state), a)) }
	for i := range n {
		fill(&e, i)
		switch {
		case e.kind == person && (e.state == "OR" || e.state == "ID" || e.state == "CA"):
			p := ps{e.name, e.city, e.state}
			persons[e.id] = p
			for _, a := range waiting[e.id] {
				emit(p, a)
			}
			delete(waiting, e.id)
		case e.kind == auction && e.category == 10:
			if p, ok := persons[e.seller]; ok {
				emit(p, e.id)
			} else {
				waiting[e.seller] = append(waiting[e.seller], e.id)
			}
		}
	}
}

// windowEnd is the end of the size-long tumbling window that holds ts.
func windowEnd(ts, size int64) int64 { return ts/size*size + size }

// The window queries keep every open window in a map and close it when the watermark (max ts - 1001) passes it.

// advance closes the windows that the new maximum timestamp completes.
func advance[V any](maxTs, ts int64, wins map[int64]V, close func(end int64)) int64 {
	if ts <= maxTs {
		return maxTs
	}
	if (ts-1001)/1000 != (maxTs-1001)/1000 { // window ends are whole seconds
		var due []int64
		for end := range wins {
			if end-1 <= ts-1001 {
				due = append(due, end)
			}
		}
		sort.Slice(due, func(i, j int) bool { return due[i] < due[j] })
		for _, end := range due {
			close(end)
		}
	}
	return ts
}

func finish[V any](wins map[int64]V, close func(end int64)) {
	for len(wins) > 0 {
		for end := range wins {
			close(end)
			break
		}
	}
}

// q5 counts per 2 s pane and adds up five panes per window.
func q5(n uint64, o *out) {
	var e ev
	panes := map[int64]map[uint64]uint64{}
	var cur map[uint64]uint64
	var curEnd, maxTs, done int64
	fire := func(end int64) { // window (end-10s, end]
		tot := map[uint64]uint64{}
		for p := end - 8000; p <= end; p += 2000 {
			for a, c := range panes[p] {
				tot[a] += c
			}
		}
		var best uint64
		for _, c := range tot {
			best = max(best, c)
		}
		for a, c := range tot {
			if c == best {
				o.add(h3(a, c, uint64(end)))
			}
		}
		delete(panes, end-8000)
		done = end
	}
	for i := range n {
		fill(&e, i)
		if e.kind != bid {
			continue
		}
		if end := windowEnd(e.ts, 2000); end != curEnd {
			cur = panes[end]
			if cur == nil {
				cur = map[uint64]uint64{}
				panes[end] = cur
			}
			curEnd = end
		}
		cur[e.auction]++
		if e.ts > maxTs {
			if maxTs == 0 {
				done = windowEnd(e.ts, 2000) - 2000 - 2000
			}
			maxTs = e.ts
			for done+2000-1 <= maxTs-1001 {
				fire(done + 2000)
			}
		}
	}
	for len(panes) > 0 {
		fire(done + 2000)
	}
}

func q7(n uint64, o *out) {
	type b struct {
		price, auction, bidder uint64
		ts                     int64
	}
	var e ev
	wins := map[int64]*[]b{}
	close := func(end int64) {
		for _, x := range *wins[end] {
			o.add(h5(uint64(end), x.price, x.auction, x.bidder, uint64(x.ts)))
		}
		delete(wins, end)
	}
	var maxTs, curEnd int64
	var cur *[]b
	for i := range n {
		fill(&e, i)
		if e.kind != bid {
			continue
		}
		if end := windowEnd(e.ts, 10_000); end != curEnd {
			cur = wins[end]
			if cur == nil {
				cur = &[]b{}
				wins[end] = cur
			}
			curEnd = end
		}
		if len(*cur) > 0 && e.price > (*cur)[0].price {
			*cur = (*cur)[:0]
		}
		if len(*cur) == 0 || e.price == (*cur)[0].price {
			*cur = append(*cur, b{e.price, e.auction, e.bidder, e.ts})
		}
		maxTs = advance(maxTs, e.ts, wins, close)
	}
	finish(wins, close)
}
