// Command soak runs a long stretch of event time, as fast as it goes, through
// sessions and timers whose keys come and go, and reports the memory that was in
// use as it went: it has to stay flat.
//
//	go run ./bench/soak -minutes 60 -rate 200000
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// result is the line that is printed.
type result struct {
	Engine     string  `json:"engine"`
	Par        int     `json:"par"`
	Minutes    float64 `json:"event_time_minutes"`
	Events     uint64  `json:"events"`
	Keys       uint64  `json:"keys"` // that ever were; about 20,000 are live at a time
	Seconds    float64 `json:"seconds"`
	EventsPerS float64 `json:"events_per_s"`
	Sessions   int64   `json:"sessions"`
	InSessions int64   `json:"events_in_sessions"`
	Fired      int64   `json:"timers_fired"`
	AtTimers   int64   `json:"events_at_timers"`
	LiveMB     []int   `json:"live_heap_mb"` // after each tenth of the run, what the collector found alive
	Growth     float64 `json:"growth"`       // mean of the last three over that of the third to the fifth
}

func main() {
	minutes := flag.Float64("minutes", 60, "event time")
	rate := flag.Uint64("rate", 200_000, "events for each second of event time")
	par := flag.Int("parallelism", runtime.GOMAXPROCS(0), "lanes")
	checkpoint := flag.Duration("checkpoint", 0, "time between snapshots; 0: none")
	profile := flag.String("cpuprofile", "", "write a CPU profile here")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	res, err := run(*minutes, *rate, local.Config{Parallelism: *par, Checkpoint: *checkpoint})
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	line, err := json.Marshal(res)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	fmt.Println(string(line))
	if err := res.check(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// check reports what is not as it should be: an event that is missing, or memory
// that grows.
func (r *result) check() error {
	switch {
	case r.InSessions != int64(r.Events):
		return fmt.Errorf("%d events in sessions, want %d", r.InSessions, r.Events)
	case r.AtTimers != int64(r.Events):
		return fmt.Errorf("%d events at timers, want %d", r.AtTimers, r.Events)
	case r.Growth > 1.25:
		return fmt.Errorf("memory has grown by %.0f %%", 100*(r.Growth-1))
	}
	return nil
}

const (
	gap  = 10 * time.Second // of silence, after which a session or a timer ends
	live = 20_000           // keys at a time
	turn = 20               // seconds of event time after which all keys are others
)

// key is the key of event i: one of live keys, of which a few go out of use and as
// many come into it all the time.
func key(i, rate uint64) uint64 {
	return i*live/(rate*turn) + gen.Mix64(i)%live
}

// run runs the pipeline and watches the heap.
func run(minutes float64, rate uint64, cfg local.Config) (*result, error) {
	n := uint64(minutes * 60 * float64(rate))
	res := &result{Engine: "millrace", Par: cfg.Parallelism, Minutes: minutes, Events: n, Keys: key(n, rate) + live}
	var made atomic.Uint64
	p := pipeline.New()
	events := pipeline.EventTimeMs(pipeline.GenerateSequence(p, n), func(i uint64) int64 {
		if i%4096 < 8 { // of each lane one now and then
			made.Store(i)
		}
		return int64(i*1000/rate) - int64(gen.Mix64(i)>>40%1000)
	}, pipeline.OutOfOrder(time.Second), pipeline.AlignedWithin("lanes", 5*time.Second)) // else a lane that is ahead fills the state up
	perKey := pipeline.KeyBy(events, func(i uint64) uint64 { return key(i, rate) })

	sessions := transforms.Count(perKey.Windowed(window.Sessions(gap)))
	add(pipeline.MapKV(sessions, func(_ uint64, n int64) int64 { return n }), &res.Sessions, &res.InSessions)
	add(pipeline.Stateful(perKey, "flush", flush), &res.Fired, &res.AtTimers)

	debug.SetGCPercent(100)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { res.watch(&made, n, done) })
	start := time.Now()
	_, err := local.Run(context.Background(), p, cfg)
	res.Seconds = time.Since(start).Seconds()
	close(done)
	wg.Wait()
	res.EventsPerS = float64(n) / res.Seconds
	if len(res.LiveMB) >= 9 {
		res.Growth = mean(res.LiveMB[len(res.LiveMB)-3:]) / mean(res.LiveMB[2:5])
	}
	return res, err
}

// flush counts a key's events and emits the count when it has been silent for gap.
func flush(s *pipeline.Setup[uint64, int64]) pipeline.Process[uint64, uint64, int64] {
	count := pipeline.ValueState[int64](s, "count")
	last := pipeline.ValueState[int64](s, "last")
	silent := pipeline.EventTimer(s, "silent", func(c *pipeline.Ctx[uint64], emit pipeline.Emit[int64]) error {
		emit(count.Get(c))
		count.Clear(c)
		last.Clear(c)
		return nil
	})
	return func(c *pipeline.Ctx[uint64], _ uint64, _ pipeline.Emit[int64]) error {
		count.Set(c, count.Get(c)+1)
		if at, known := last.Lookup(c); !known || c.TimestampMs() > at {
			last.Set(c, c.TimestampMs())
			silent.SetMs(c, c.TimestampMs()+gap.Milliseconds())
		}
		return nil
	}
}

// add counts c's elements and adds them up.
func add(c pipeline.PCollection[int64], count, sum *int64) {
	var mu sync.Mutex // guards both
	pipeline.ForEachLane(c, func(int) func(int64) {
		return func(v int64) {
			mu.Lock()
			defer mu.Unlock()
			*count++
			*sum += v
		}
	})
}

// watch notes how much of the heap is alive after each tenth of the run.
func (r *result) watch(made *atomic.Uint64, n uint64, done <-chan struct{}) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		if tenth := made.Load() * 10 / n; tenth > uint64(len(r.LiveMB)) {
			runtime.GC()
			metrics.Read(live)
			r.LiveMB = append(r.LiveMB, int(live[0].Value.Uint64()>>20))
		}
	}
}

func mean(of []int) float64 {
	sum := 0
	for _, v := range of {
		sum += v
	}
	return max(float64(sum)/float64(len(of)), 1)
}
