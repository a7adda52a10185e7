// Command nexmark runs one query of the deterministic Nexmark workload
// (bench/peers/NEXMARK.md), written with the public API, and prints one JSON line.
//
//	go run ./bench/nexmark -q w2 -n 10000000 -parallelism 2
//	go run ./bench/nexmark -q w2 -n 1000000 -parallelism 2 -rate 100000
//	go run ./bench/nexmark -q w2 -n 10000000 -runner=distributed -workers=3 -kills=5
//	go run ./bench/nexmark -q w2 -n 200000000 -parallelism 2 -compare-checkpoints 1s
//
// With -rate, events are released by the wall clock, as if they came over a
// network, and the line tells how long after an event was due its output came:
// of windowed queries, after the first event that can let the watermark pass it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	_ "github.com/millrace/millrace/runners/local/pebble"
)

// result is the line that is printed. "events" counts all source events, also
// those that a query drops; for w1 it is lines.
type result struct {
	Engine     string  `json:"engine"`
	Query      string  `json:"query"`
	Par        int     `json:"par"`
	Events     uint64  `json:"events"`
	Seconds    float64 `json:"seconds"`
	EventsPerS float64 `json:"events_per_s"`
	OutCount   uint64  `json:"out_count"`
	Checksum   string  `json:"checksum"`
	RSSMB      int     `json:"rss_mb,omitempty"`
	CPUS       float64 `json:"cpu_s"`
	NsPerEvent float64 `json:"cpu_ns_per_event"`
	RatePerS   float64 `json:"rate_per_s,omitempty"` // at which events came
	P50Ms      float64 `json:"p50_ms,omitempty"`     // from the instant an event was due to its output
	P99Ms      float64 `json:"p99_ms,omitempty"`
	Workers    int     `json:"workers,omitempty"`     // processes, on the distributed runner
	Kills      int     `json:"kills,omitempty"`       // of these
	Survived   string  `json:"survived,omitempty"`    // what the runner says of -chaos
	AsExpected *bool   `json:"as_expected,omitempty"` // absent where no expectation is on file for N
}

func main() {
	beJob()
	q := flag.String("q", "q0", "query: "+strings.Join(slices.Sorted(maps.Keys(queries)), ", "))
	n := flag.Uint64("n", 10_000_000, "source events; w1: lines")
	par := flag.Int("parallelism", 1, "lanes")
	runner := flag.String("runner", "local", "what runs it: local, or distributed: in many processes, each with -parallelism lanes")
	workers := flag.Int("workers", 3, "processes of -runner=distributed")
	kills := flag.Int("kills", 0, "so many of these are killed with -9 meanwhile, one at a time")
	chaos := flag.String("chaos", "", "let -runner=distributed kill and pause its workers, as kill=1s,pause=1s")
	seed := flag.Uint64("seed", 1, "of the moments at which they are killed")
	throttle := flag.Float64("throttle", 0, "events a second of each lane, on -runner=distributed; 0: as fast as can be")
	noFusion := flag.Bool("no-fusion", false, "a queue between any two transforms")
	checkpoint := flag.Duration("checkpoint-interval", 0, "time between checkpoints, which are kept on disk; 0: none")
	state := flag.String("state", "", "what keeps state and checkpoints: memory, pebble")
	stateDir := flag.String("state-dir", "", "folder for checkpoints; default one that is removed")
	stateMemory := flag.Int64("state-memory", 0, "bytes that state may take which is on disk, too; 0: the default")
	crash := flag.Bool("crash", false, "kill the run with -9 in the middle, and go on from its last checkpoint in another process")
	compared := flag.Duration("compare-checkpoints", 0, "tell what checkpoints at this interval cost, in medians over -rounds of runs without and with them")
	rounds := flag.Int("rounds", 3, "rounds of -compare-checkpoints")
	tallied := flag.Bool("tally", false, "count outputs in a sink that keeps its counts in checkpoints, also where there are none")
	batch := flag.Int("batch", 0, "elements in a batch; 0: the default")
	rate := flag.Float64("rate", 0, "events a second, of all lanes together, and tell how late outputs are; 0: as fast as can be")
	profile := flag.String("cpuprofile", "", "write a CPU profile here")
	flag.Parse()
	switch *runner {
	case "local":
	case "distributed":
		program, err := os.Executable()
		fatal(err)
		res, err := runDistributed(context.Background(), *q, *n, cluster{*workers, *par, *kills, *seed, *throttle, program, *chaos})
		fatal(err)
		res.print()
		return
	default:
		fmt.Fprintf(os.Stderr, "nexmark: no runner %q: there is local, distributed\n", *runner)
		os.Exit(2)
	}
	if *compared > 0 {
		program, err := os.Executable()
		fatal(err)
		c, err := compare(program, []string{"-q=" + *q, fmt.Sprint("-n=", *n), fmt.Sprint("-parallelism=", *par), fmt.Sprint("-state-memory=", *stateMemory)}, *state, *compared, *rounds)
		fatal(err)
		line, err := json.Marshal(c)
		fatal(err)
		fmt.Println(string(line))
		return
	}
	if (*state != "" || *crash) && *checkpoint == 0 {
		*checkpoint = time.Second
	}
	if *checkpoint > 0 && *stateDir == "" {
		dir, err := os.MkdirTemp("", "nexmark-*")
		fatal(err)
		atExit = func() { os.RemoveAll(dir) }
		*stateDir = dir
	}
	if *crash {
		program, err := os.Executable()
		fatal(err)
		fatal(crashOnce(program, []string{"-q=" + *q, fmt.Sprint("-n=", *n), fmt.Sprint("-parallelism=", *par), fmt.Sprint("-checkpoint-interval=", *checkpoint),
			"-state=" + *state, "-state-dir=" + *stateDir, fmt.Sprint("-state-memory=", *stateMemory)}, os.Stdout))
		atExit()
		return
	}
	debug.SetGCPercent(400)
	cfg := local.Config{Parallelism: *par, NoFusion: *noFusion, Checkpoint: *checkpoint, StateDir: *stateDir, State: *state, StateMemory: *stateMemory, Batch: *batch}
	res, err := run(*q, *n, *rate, *tallied, cfg, *profile)
	fatal(err)
	atExit()
	res.print()
}

// print prints the line, and ends the program if the result is wrong.
func (r *result) print() {
	line, err := json.Marshal(r)
	fatal(err)
	fmt.Println(string(line))
	if r.AsExpected != nil && !*r.AsExpected {
		fmt.Fprintln(os.Stderr, "nexmark: count or checksum is not the expected one")
		os.Exit(1)
	}
}

// find returns the query of a name.
func find(q string) (func(*pipeline.Pipeline, workload) *outcomes, error) {
	build, ok := queries[q]
	if !ok {
		return nil, fmt.Errorf("no query %q: there is %s", q, strings.Join(slices.Sorted(maps.Keys(queries)), ", "))
	}
	return build, nil
}

// atExit removes what the command made.
var atExit = func() {}

func fatal(err error) {
	if err == nil {
		return
	}
	atExit()
	fmt.Fprintln(os.Stderr, "nexmark:", err)
	os.Exit(1)
}

// run runs one query.
func run(q string, n uint64, rate float64, tallied bool, cfg local.Config, profile string) (*result, error) {
	build, err := find(q)
	if err != nil {
		return nil, err
	}
	w := workload{events: n, tallied: tallied || cfg.StateDir != ""}
	if os.Getenv(crashVar) == "true" {
		w.kill = &killer{}
		cfg.Progress = func(o *local.Observer) { w.kill.seen.Store(o) }
	}
	if rate != 0 {
		if rate < 0 || q == "w1" {
			return nil, fmt.Errorf("-rate %v of %s: there is a pace for queries of events only, and it is above 0", rate, q)
		}
		w.pace = &pace{perSecond: rate}
	}
	p := pipeline.New()
	lanes := build(p, w)
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	if _, err := local.Run(context.Background(), p, cfg); err != nil {
		return nil, err
	}
	s := time.Since(start).Seconds()
	res := &result{Engine: "millrace", Query: q, Par: cfg.Parallelism, Events: n, Seconds: round(s), EventsPerS: round(float64(n) / s), RSSMB: meter.PeakRSS(), CPUS: round(meter.CPU().Seconds())}
	res.NsPerEvent = round(res.CPUS * 1e9 / float64(n))
	var sum uint64
	var late histogram
	for i := range lanes {
		l := &lanes[i]
		res.OutCount += l.count
		sum += l.sum
		if l.late != nil {
			late.merge(l.late)
		}
	}
	if rate > 0 {
		res.RatePerS, res.P50Ms, res.P99Ms = rate, late.quantile(0.5).Seconds()*1000, late.quantile(0.99).Seconds()*1000
	}
	res.judge(sum)
	return res, nil
}

// judge notes the checksum, and whether the result is the one on file.
func (r *result) judge(sum uint64) {
	r.Checksum = fmt.Sprintf("%016x", sum)
	if count, want, known := gen.Expected(r.Query, r.Events); known {
		same := count == r.OutCount && want == r.Checksum
		r.AsExpected = &same
	}
}

func round(x float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	return r
}
