package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/chaos"
)

// report is the line that is printed. Silences of the lanes of who was hit, and those of
// others, are the longest ones behind each fault; of those of others what they have
// without a fault, in the median, is taken off.
type report struct {
	Engine     string  `json:"engine"`
	Fault      string  `json:"fault"`
	SinkCommit string  `json:"sink_commit"`
	Standby    int     `json:"standby"`
	Workers    int     `json:"workers"`
	Slots      int     `json:"slots"`
	StateMB    uint64  `json:"state_mb"`
	Kills      int     `json:"kills"`
	Events     uint64  `json:"events"`
	Lost       uint64  `json:"lost"`
	Duplicated uint64  `json:"duplicated"`
	Gap50      float64 `json:"gap_ms_p50"`
	Gap99      float64 `json:"gap_ms_p99"`
	Others99   float64 `json:"others_gap_ms_p99"`
	Calm50     float64 `json:"calm_gap_ms_p50"` // without a fault
	Fenced     int     `json:"fenced_writes"`
	Seconds    float64 `json:"seconds"`

	said string // by the job
}

func (r *report) check() error {
	if r.Lost+r.Duplicated > 0 {
		return fmt.Errorf("%d counts are lost, %d are there again\nwhat the job has said:\n%s", r.Lost, r.Duplicated, r.said)
	}
	return nil
}

// hit is a fault, and whom it has met.
type hit struct {
	at, healed time.Time
	lanes      []int // nil: all
}

var works = regexp.MustCompile(`^all are here: `)

// run runs the job, breaks it, and lets it come to its end.
func (s setting) run(ctx context.Context, program, dir string) (*report, error) {
	begun := time.Now()
	t := s.task(dir, begun)
	w, err := newWatch(t.Screen)
	if err != nil {
		return nil, err
	}
	c, err := s.start(program, dir, t)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.End)
	defer stop()
	res, hits, err := s.breakIt(ctx, c, w, t)
	if err == nil {
		err = c.Wait(ctx)
	}
	c.End()
	w.close()
	if err = errors.Join(err, w.err); err != nil {
		return nil, fmt.Errorf("%w\nwhat the job has said:\n%s", err, c.Text())
	}
	w.finish(res.Events, s.Keys)
	res.Lost, res.Duplicated, res.Fenced = w.lost, w.again, w.fenced
	res.said = c.Text()
	s.measure(res, w, hits)
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}

func (s setting) task(dir string, begun time.Time) task {
	t := task{Sources: uint64(s.Workers), Keys: s.Keys, Began: begun, Rate: s.Rate, End: filepath.Join(dir, "end"), Screen: filepath.Join(dir, "screen")}
	if s.State > 0 {
		t.Fill, t.Value = s.Keys, int(s.State/s.Keys)
	}
	return t
}

func (s setting) start(program, dir string, t task) (*chaos.Cluster, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	args := []string{"-parallelism=1", "-temp-dir=" + dir}
	if s.SinkCommit != "" {
		args = append(args, "-sink-commit="+s.SinkCommit)
	}
	if s.Plane != "" {
		args = append(args, "-plane="+s.Plane)
	}
	if s.Cut > 0 {
		args = append(args, fmt.Sprint("-cut=", s.Cut))
	}
	if s.Slots > 0 {
		args = append(args, fmt.Sprint("-slots=", s.Slots))
	}
	if s.Standby > 0 {
		args = append(args, fmt.Sprint("-standby=", s.Standby))
	}
	return chaos.Launch{
		Program: program, Env: []string{taskVar + "=" + string(text)}, Args: args, Workers: s.Workers,
		Joined: s.Fault == chaos.Cut || s.Fault == chaos.NATS, Dir: dir, Servers: s.Servers,
	}.Start()
}

// breakIt does one thing after the other to the job, and then tells its sources to end.
func (s setting) breakIt(ctx context.Context, c *chaos.Cluster, w *watch, t task) (*report, []hit, error) {
	r := rand.New(rand.NewPCG(s.Seed, 3))
	res := &report{Engine: "millrace", Fault: string(s.Fault), SinkCommit: s.SinkCommit, Standby: s.Standby, Workers: s.Workers, Slots: cmp.Or(s.Slots, s.Workers), StateMB: s.State / 1e6}
	var hits []hit
	if _, _, err := c.Await(ctx, 0, works); err != nil {
		return res, nil, err
	}
	if err := awaitShown(ctx, c, w, t.Fill+1, res.Slots); err != nil {
		return res, nil, err
	}
	for turn := 0; res.Kills < s.Kills; {
		if !c.Pause(ctx, s.Calm+time.Duration(r.IntN(300))*time.Millisecond) {
			return res, hits, errors.New("the job has ended before its time")
		}
		workers := c.Workers()
		if len(workers) == 0 {
			continue
		}
		f := chaos.Fault{Kind: s.Fault, Worker: 1 + turn%len(workers), For: s.For} // in turn: who ends again and again at once is given up
		turn++
		h := hit{at: time.Now()}
		if s.Fault != chaos.NATS {
			if h.lanes = w.lanesOf(c.Pid(workers[f.Worker-1])); h.lanes == nil {
				continue // it has no slot
			}
		}
		done, err := c.Inflict(ctx, f)
		if err != nil {
			return res, hits, err
		}
		if !done {
			continue
		}
		res.Kills++
		h.healed = time.Now()
		if err := awaitAll(ctx, c, w, h); err != nil {
			return res, hits, err
		}
		hits = append(hits, h)
	}
	c.Pause(ctx, s.Calm)
	res.Events = t.Fill + uint64((time.Since(t.Began).Seconds()+0.2)*s.Rate)*t.Sources
	return res, hits, writeAtOnce(t.End, fmt.Append(nil, res.Events))
}

// writeAtOnce writes a file that is not there yet: who finds it finds all of it.
func writeAtOnce(path string, b []byte) error {
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// awaitShown waits until so many counts have been shown, and some on each of the job's lanes.
func awaitShown(ctx context.Context, c *chaos.Cluster, w *watch, n uint64, lanes int) error {
	for w.total() < n || w.showing() < lanes {
		if !c.Pause(ctx, 20*time.Millisecond) {
			return errors.New("the job has ended before its time")
		}
	}
	return nil
}

// awaitAll waits until each lane has shown something behind a fault, for a minute at most.
func awaitAll(ctx context.Context, c *chaos.Cluster, w *watch, h hit) error {
	for late := time.Now().Add(time.Minute); ; {
		silent := w.silentSince(h.healed)
		switch {
		case len(silent) == 0:
			return nil
		case time.Now().After(late):
			return fmt.Errorf("lanes %v have been silent for a minute", silent)
		case !c.Pause(ctx, 20*time.Millisecond):
			return errors.New("the job has ended before its time")
		}
	}
}

// silentSince are the lanes that have shown nothing new since an instant.
func (w *watch) silentSince(at time.Time) (list []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.lanes {
		if n := len(l.seen); n == 0 || l.seen[n-1].Before(at) {
			list = append(list, i)
		}
	}
	return list
}

// measure finds the silences behind each fault, and before it.
func (s setting) measure(res *report, w *watch, hits []hit) {
	var gaps, others, calm []float64
	for lane := range w.lanes {
		for _, h := range hits {
			calm = append(calm, ms(w.silence(lane, h.at.Add(-s.Calm/2), h.at.Add(-s.Calm/4))))
		}
	}
	res.Calm50 = quantile(calm, 0.5)
	for _, h := range hits {
		var gap, other time.Duration
		for lane := range w.lanes {
			d := w.silence(lane, h.at, h.healed.Add(s.Calm/2))
			if h.lanes == nil || slices.Contains(h.lanes, lane) {
				gap = max(gap, d)
			} else {
				other = max(other, d)
			}
		}
		if gap > 0 {
			gaps = append(gaps, ms(gap))
		}
		others = append(others, max(0, ms(other)-res.Calm50))
	}
	res.Gap50, res.Gap99, res.Others99 = quantile(gaps, 0.5), quantile(gaps, 0.99), quantile(others, 0.99)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile is the least value that a share q of all does not exceed; 0 of none.
func quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	return xs[min(len(xs)-1, int(q*float64(len(xs))))]
}
