// Package terminal shows people how far something is: one line that is rewritten, below
// others that stay.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Line rewrites the last line of a terminal until it is stopped. What is written to it
// stands above.
type Line struct {
	out        io.Writer
	text       func(elapsed time.Duration) string
	begun      time.Time
	quit, done chan struct{}

	mu    sync.Mutex // guards what follows, and out
	shown string     // what stands there; "" before the first time
}

// clear empties the line in which the cursor is.
const clear = "\r\x1b[K"

// Start begins to show text every interval; 0 is never: then there are the lines only that
// are written to it.
func Start(out io.Writer, every time.Duration, text func(elapsed time.Duration) string) *Line {
	l := &Line{out: out, text: text, begun: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	go l.run(every)
	return l
}

func (l *Line) run(every time.Duration) {
	defer close(l.done)
	if every == 0 {
		<-l.quit
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			l.show("")
		case <-l.quit:
			l.mu.Lock()
			ever := l.shown != ""
			l.mu.Unlock()
			if ever {
				l.show("\n")
			}
			return
		}
	}
}

func (l *Line) show(end string) {
	text := l.text(time.Since(l.begun))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = text
	fmt.Fprint(l.out, clear, text, end)
}

// Write puts p, which is whole lines, above the line. It implements io.Writer.
func (l *Line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == "" {
		return l.out.Write(p)
	}
	if _, err := fmt.Fprint(l.out, clear, string(p), l.shown); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Stop shows the line a last time, if it has been shown, and ends it. It is called once.
func (l *Line) Stop() {
	close(l.quit)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = ""
}

// Is reports whether people are looking at w.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Elements says how many there were, and how many in a second.
func Elements(n int64, elapsed time.Duration) string {
	rate := float64(n) / max(elapsed.Seconds(), 1e-9)
	return fmt.Sprintf("%s elements, %s/s", Count(float64(n)), Count(rate))
}

// Left says what share has been read, and how long the rest will take, with a comma in
// front; "" where nobody knows how much there is.
func Left(read, total int64, elapsed time.Duration) string {
	if total <= 0 || read <= 0 {
		return ""
	}
	var b strings.Builder
	share := min(float64(read)/float64(total), 1)
	fmt.Fprintf(&b, ", %.0f%% read", 100*share)
	if left := time.Duration(float64(elapsed) * (1 - share) / share); share < 1 && elapsed > time.Second {
		fmt.Fprintf(&b, ", %v left", left.Round(time.Second))
	}
	return b.String()
}

// Count writes a number with three digits and a unit.
func Count(n float64) string {
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
