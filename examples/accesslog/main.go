// Command accesslog reads web server logs in the common format and prints the
// most requested pages and the share of errors in each minute.
//
//	go run ./examples/accesslog -in '/var/log/nginx/access.log*'
package main

import (
	"cmp"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

func main() {
	in := flag.String("in", "", "log files, a glob; default a small log that comes with the example")
	top := flag.Int("top", 5, "how many pages to print")
	var r *report
	runners.Main(func(p *pipeline.Pipeline) {
		if *in == "" {
			*in = sample()
		}
		r = analyse(text.Read(p, *in), *top)
	})
	if r != nil {
		r.print(os.Stdout)
	}
}

// request is a line of a log.
type request struct {
	At     time.Time
	Page   string
	Status int
}

// The common format: host, identity, user, [time], "method page protocol", status, bytes.
var common = regexp.MustCompile(`^\S+ \S+ \S+ \[([^\]]+)\] "\S+ (\S+)[^"]*" (\d{3}) `)

// parse emits the request of a line; other lines are passed over and counted.
func parse(d *pipeline.DoFn, emit pipeline.Emit[request]) func(pipeline.Elem, string) error {
	bad := d.Counter("bad lines")
	return func(_ pipeline.Elem, line string) error {
		m := common.FindStringSubmatch(line)
		if m == nil {
			bad.Inc(1)
			return nil
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[1])
		if err != nil {
			bad.Inc(1)
			return nil
		}
		status, _ := strconv.Atoi(m[3]) // three digits
		emit(request{at, m[2], status})
		return nil
	}
}

// minute is the requests of one minute.
type minute struct {
	Start    time.Time
	Requests int64
	Errors   int64
}

// tally counts requests and errors.
type tally struct{ Requests, Errors int64 }

var perMinute = pipeline.Combiner[request, tally, tally]{
	Add: func(a *tally, r request) {
		a.Requests++
		if r.Status >= 500 {
			a.Errors++
		}
	},
	Merge:   func(a *tally, b tally) { a.Requests += b.Requests; a.Errors += b.Errors },
	Extract: func(a tally) tally { return a },
}

// report is what is printed.
type report struct {
	pages   *pipeline.Collected[[]pipeline.KV[string, int64]]
	minutes *pipeline.Collected[minute]
}

// analyse finds the most requested pages, and counts each minute of event time.
func analyse(lines pipeline.PCollection[string], top int) *report {
	requests := pipeline.ParDo(lines, parse)

	pages := transforms.Count(pipeline.KeyBy(requests, func(r request) string { return r.Page }))
	most := transforms.TopGlobally(pipeline.Pairs(pages), top, func(a, b pipeline.KV[string, int64]) bool {
		return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(b.Key, a.Key)) < 0
	})

	timed := pipeline.EventTime(requests, func(r request) time.Time { return r.At }, pipeline.OutOfOrder(time.Hour))
	minutes := pipeline.CombineGlobally(timed.Windowed(window.Fixed(time.Minute)), perMinute)
	return &report{
		pages: pipeline.Collect(most),
		minutes: pipeline.Collect(pipeline.ParDo(minutes, func(_ *pipeline.DoFn, emit pipeline.Emit[minute]) func(pipeline.Elem, tally) error {
			return func(e pipeline.Elem, t tally) error {
				emit(minute{time.UnixMilli(e.Window().Start).UTC(), t.Requests, t.Errors})
				return nil
			}
		})),
	}
}

func (r *report) print(w io.Writer) {
	fmt.Fprintln(w, "most requested:")
	for _, pages := range r.pages.Values() {
		for _, p := range pages {
			fmt.Fprintf(w, "%8d %s\n", p.Value, p.Key)
		}
	}
	fmt.Fprintln(w, "server errors:")
	minutes := r.minutes.Values()
	slices.SortFunc(minutes, func(a, b minute) int { return a.Start.Compare(b.Start) })
	for _, m := range minutes {
		fmt.Fprintf(w, "%s %5.1f%% of %d\n", m.Start.Format("2006-01-02 15:04"), 100*float64(m.Errors)/float64(m.Requests), m.Requests)
	}
}

//go:embed testdata/access.log
var sampleLog []byte

// sample puts the log that comes with the example where it can be read.
func sample() string {
	path := filepath.Join(os.TempDir(), "millrace-sample-access.log")
	if err := os.WriteFile(path, sampleLog, 0o666); err != nil {
		return path // reading it will say what is wrong
	}
	return path
}
