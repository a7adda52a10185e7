// Package metrics counts what happens in a process, and writes that as Prometheus reads it.
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Histogram counts how long something took. The zero value is ready, and it may be used by
// several goroutines.
type Histogram struct {
	buckets [len(bounds)]atomic.Uint64 // of durations up to bounds, each counted once
	over    atomic.Uint64              // longer ones
	sum     atomic.Int64               // ns
}

// bounds of buckets.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	h.sum.Add(int64(d))
	if i, _ := slices.BinarySearch(bounds[:], d); i < len(bounds) {
		h.buckets[i].Add(1)
		return
	}
	h.over.Add(1)
}

// Count is how many were counted.
func (h *Histogram) Count() uint64 {
	n := h.over.Load()
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Mean is that of all that was counted; 0 before the first.
func (h *Histogram) Mean() time.Duration {
	return time.Duration(h.sum.Load()) / time.Duration(max(h.Count(), 1))
}

// Page is metrics as Prometheus reads them (text format 0.0.4). Metrics of one name have
// one help and one type, and labels of the same names.
type Page struct {
	order    []string
	families map[string]*bytes.Buffer
}

// Counter adds what only grows. labels are names and values in turn.
func (p *Page) Counter(name, help string, v uint64, labels ...string) {
	fmt.Fprintf(p.family(name, "counter", help), "%s%s %d\n", name, braces(labels), v)
}

// Gauge adds what is so at the moment.
func (p *Page) Gauge(name, help string, v float64, labels ...string) {
	fmt.Fprintf(p.family(name, "gauge", help), "%s%s %s\n", name, braces(labels), number(v))
}

// Histogram adds how long something took, in seconds.
func (p *Page) Histogram(name, help string, h *Histogram, labels ...string) {
	b := p.family(name, "histogram", help)
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
		fmt.Fprintf(b, "%s_bucket%s %d\n", name, braces(append(slices.Clone(labels), "le", number(bounds[i].Seconds()))), n)
	}
	n += h.over.Load()
	fmt.Fprintf(b, "%s_bucket%s %d\n", name, braces(append(slices.Clone(labels), "le", "+Inf")), n)
	fmt.Fprintf(b, "%s_sum%s %s\n", name, braces(labels), number(time.Duration(h.sum.Load()).Seconds()))
	fmt.Fprintf(b, "%s_count%s %d\n", name, braces(labels), n)
}

func (p *Page) family(name, kind, help string) *bytes.Buffer {
	b := p.families[name]
	if b == nil {
		b = &bytes.Buffer{}
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help), name, kind)
		if p.families == nil {
			p.families = map[string]*bytes.Buffer{}
		}
		p.families[name], p.order = b, append(p.order, name)
	}
	return b
}

// WriteTo implements io.WriterTo.
func (p *Page) WriteTo(w io.Writer) (n int64, err error) {
	for _, name := range p.order {
		k, err := w.Write(p.families[name].Bytes())
		if n += int64(k); err != nil {
			return n, err
		}
	}
	return n, nil
}

func braces(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(labels); i += 2 {
		value := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(labels[i+1])
		fmt.Fprintf(&b, `,%s="%s"`, labels[i], value)
	}
	return "{" + b.String()[1:] + "}"
}

func number(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Handler answers GET /metrics with what collect adds to a page.
func Handler(collect func(p *Page)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		p := &Page{}
		collect(p)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = p.WriteTo(w) // who has gone needs nothing
	})
	return mux
}
