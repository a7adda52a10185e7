package local

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progressLine rewrites one line of a terminal until it is stopped.
type progressLine struct {
	out  io.Writer
	quit chan struct{}
	done chan struct{}
}

// startProgress begins to show o every interval.
func startProgress(out io.Writer, o *Observer, every time.Duration) *progressLine {
	p := &progressLine{out: out, quit: make(chan struct{}), done: make(chan struct{})}
	go p.run(o, every)
	return p
}

func (p *progressLine) run(o *Observer, every time.Duration) {
	defer close(p.done)
	t := time.NewTicker(every)
	defer t.Stop()
	start, shown := time.Now(), false
	for {
		select {
		case <-t.C:
			fmt.Fprintf(p.out, "\r\x1b[K%s", o.Line(time.Since(start)))
			shown = true
		case <-p.quit:
			if shown {
				fmt.Fprintf(p.out, "\r\x1b[K%s\n", o.Line(time.Since(start)))
			}
			return
		}
	}
}

// stop shows the line a last time and ends it.
func (p *progressLine) stop() {
	close(p.quit)
	<-p.done
}

// Line is one line about the run after elapsed: elements, rate, stages done, and
// the time left where the sources know how much there is.
func (o *Observer) Line(elapsed time.Duration) string {
	p := o.o.Progress()
	var b strings.Builder
	rate := float64(p.Elements) / max(elapsed.Seconds(), 1e-9)
	fmt.Fprintf(&b, "%s elements, %s/s, stages %d/%d done", count(float64(p.Elements)), count(rate), p.StagesDone, p.Stages)
	if p.Total > 0 && p.Read > 0 {
		share := min(float64(p.Read)/float64(p.Total), 1)
		fmt.Fprintf(&b, ", %.0f%% read", 100*share)
		if left := time.Duration(float64(elapsed) * (1 - share) / share); share < 1 && elapsed > time.Second {
			fmt.Fprintf(&b, ", %v left", left.Round(time.Second))
		}
	}
	return b.String()
}

// count writes a number with three digits and a unit.
func count(n float64) string {
	for _, u := range []struct {
		n    float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= 0.9995*u.n { // what would be rounded to 1000 of the smaller unit
			return fmt.Sprintf("%.3g%s", n/u.n, u.name)
		}
	}
	return fmt.Sprintf("%.0f", n)
}
