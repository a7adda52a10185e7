package local

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/window"
)

// Explanation answers why windows are not fired. Its String is for people.
type Explanation struct {
	// Stages are those that have open windows, in the order of the pipeline.
	Stages []StageTime
	text   string
}

// StageTime is how far a stage with open windows is.
type StageTime struct {
	Transform string // path of its name
	Position  string // its file:line in the program
	Watermark time.Time
	Oldest    window.Interval // open window; it fires when the watermark has passed its last millisecond
	Windows   int             // open ones; of windows that merge, keys that have some
	Overdue   bool            // an EventTime has seen times beyond the end of the oldest window
	// Why says, sentence by sentence, what holds the watermark: which split of which
	// source, since when, and what to set.
	Why []string
}

func (e Explanation) String() string { return e.text }

// Explain asks the run what its windows wait for. It waits for lanes that are in
// user code, for at most a second, and concludes without them then. Before the run
// begins and when it has ended nothing is explained.
func (o *Observer) Explain() Explanation {
	e := o.o.Explain(time.Second)
	out := Explanation{text: e.String()}
	for _, s := range e.Stages {
		out.Stages = append(out.Stages, StageTime{s.Transform, s.Pos, time.UnixMilli(s.Watermark), s.Oldest, s.Windows, s.Ahead, s.Why})
	}
	return out
}

// watchWindows logs why, each time a window has been overdue for d, until ctx ends.
func watchWindows(ctx context.Context, o *engine.Observer, d time.Duration, log *slog.Logger) {
	t := time.NewTicker(d)
	defer t.Stop()
	overdue := map[string]engine.StageTime{} // by transform, at the last look
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now := map[string]engine.StageTime{}
		for _, s := range o.Explain(min(d, time.Second)).Stages {
			if !s.Ahead {
				continue
			}
			now[s.Transform] = s
			if was, ok := overdue[s.Transform]; ok && was.Oldest == s.Oldest {
				log.Warn("a window is overdue", "transform", s.Transform, "position", s.Pos, "window", s.Window(),
					"watermark", time.UnixMilli(s.Watermark).UTC(), "why", strings.Join(s.Why, "; "))
			}
		}
		overdue = now
	}
}
