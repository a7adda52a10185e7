// Command shuffle measures what an exactly-once shuffle between two processes costs:
// every record goes to the other process, by its key, and is counted there. It prints
// one JSON line for each way of sending.
//
//	go run ./bench/shuffle -records 20000000 -size 100 -epoch 10ms
//
// The ways are
//
//	tcp             frames over TCP, written by hand: no guarantees
//	core            frames over core NATS with credits, written by hand: no guarantees
//	committed-tcp   tcp, with what comes held until it is committed by the messages of a commit
//	committed-core  the same over core NATS
//	pipeline-tcp    a pipeline over the same, with credits: no guarantees either
//	pipeline-core   the same pipeline over core NATS
//	millrace-nats   the pipeline in two slots, over the same NATS server as core
//	millrace-mesh   the same with frames over a server in each process, with routes between them
//	millrace-direct the same with frames over TCP
//	millrace-log    millrace-nats with a copy of each frame in JetStream
//	blocks-nats     a pipeline whose elements are blocks of records: for each record the loop of
//	blocks-mesh     tcp and core, with the exactly-once of millrace-nats, millrace-mesh and
//	blocks-direct   millrace-direct
//
// Each is run first as fast as it goes, in rounds with the others, and then at -rate for
// latency: from a record's emission at its source until it is taken in, which is when
// its epoch is committed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/runner"
)

// load is what is measured.
type load struct {
	records uint64 // of both workers
	size    int    // bytes of a record
	keys    int    // of each worker
	lanes   int    // of each worker
	epoch   time.Duration
	volume  int     // bytes of an epoch
	rate    float64 // records a second for latency; 0: not measured
	timed   time.Duration
	rounds  int
	encrypt bool   // frames from worker to worker
	profile string // folder
}

func main() {
	beChild()
	var l load
	flag.Uint64Var(&l.records, "records", 20_000_000, "records of both workers")
	flag.IntVar(&l.size, "size", 100, "bytes of a record: 20, 100 or 1000")
	flag.IntVar(&l.keys, "keys", 1024, "keys of each worker, which it counts records by")
	flag.IntVar(&l.lanes, "lanes", 1, "lanes of each worker")
	flag.DurationVar(&l.epoch, "epoch", 10*time.Millisecond, "most time between commits")
	size := flag.String("epoch-size", "256KiB", "bytes for the other worker with which a commit does not wait for -epoch; 0: it does")
	flag.Float64Var(&l.rate, "rate", 1_000_000, "records a second of both workers for latency; 0: it is not measured")
	flag.DurationVar(&l.timed, "timed", 3*time.Second, "how long latency is measured")
	flag.IntVar(&l.rounds, "rounds", 3, "times that each way is run; medians are printed")
	flag.BoolVar(&l.encrypt, "encrypt", false, "encrypt frames from worker to worker, of mesh and direct")
	flag.StringVar(&l.profile, "profile", "", "folder for CPU profiles of the workers and servers")
	list := flag.String("ways", strings.Join(ways, ","), "what to measure, between commas")
	flag.Parse()
	volume, err := runner.ParseBytes(*size)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shuffle: -epoch-size:", err)
		os.Exit(2)
	}
	l.volume = int(volume)
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = run(ctx, l, strings.Split(*list, ","), func(r *result) error { return json.NewEncoder(os.Stdout).Encode(r) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "shuffle:", err)
		os.Exit(1)
	}
}

// ways are all of them.
var ways = []string{"tcp", "core", "committed-tcp", "committed-core", "pipeline-tcp", "pipeline-core", "millrace-nats", "millrace-mesh", "millrace-direct", "millrace-log",
	"blocks-nats", "blocks-mesh", "blocks-direct"}

// result is the line of a way.
type result struct {
	Way         string  `json:"way"`
	Records     uint64  `json:"records"`
	Size        int     `json:"size"`
	EpochMs     float64 `json:"epoch_ms,omitempty"`
	RecordsPerS float64 `json:"records_per_s"`
	RatioToTCP  float64 `json:"ratio_to_tcp,omitempty"`  // median of the rounds' ratios
	RatioToCore float64 `json:"ratio_to_core,omitempty"` // the same
	ToPipeTCP   float64 `json:"ratio_to_pipeline_tcp,omitempty"`
	ToPipeCore  float64 `json:"ratio_to_pipeline_core,omitempty"`
	CPUCores    float64 `json:"cpu_cores"` // of all processes, servers included
	CPUNs       float64 `json:"cpu_ns_per_record"`
	Rate        float64 `json:"rate,omitempty"` // records a second at which latency was measured
	P50Ms       float64 `json:"committed_p50_ms,omitempty"`
	P99Ms       float64 `json:"committed_p99_ms,omitempty"`
	P50ToCore   float64 `json:"p50_to_committed_core,omitempty"` // ratios of committed_p50_ms
	P50ToTCP    float64 `json:"p50_to_committed_tcp,omitempty"`
	CommitsPerS float64 `json:"commits_per_s,omitempty"`   // of each worker
	ReadyMs     float64 `json:"commit_ready_ms,omitempty"` // mean: from the cut of an epoch until receivers hold it and its changes are durable
	PutMs       float64 `json:"commit_put_ms,omitempty"`   // mean: from then until its record is in the register
	RateCores   float64 `json:"rate_cpu_cores,omitempty"`
}

// run measures ways, and tells each when all are done.
func run(ctx context.Context, l load, list []string, tell func(*result) error) error {
	for _, w := range list {
		if !slices.Contains(ways, w) {
			return fmt.Errorf("-ways: there is no %q, only %s", w, strings.Join(ways, ", "))
		}
	}
	if bodies[l.size] == nil {
		return fmt.Errorf("-size %d: want 20, 100 or 1000", l.size)
	}
	runs := map[string][]*figures{}
	for range l.rounds {
		for _, w := range list {
			f, err := measure(ctx, w, l)
			if err != nil {
				return fmt.Errorf("%s: %w", w, err)
			}
			runs[w] = append(runs[w], f)
		}
	}
	p50s := map[string]float64{}
	for _, w := range list {
		r := &result{Way: w, Records: l.records, Size: l.size}
		if isJob(w) || commits(w) {
			r.EpochMs = float64(l.epoch) / 1e6
		}
		r.RecordsPerS = median(runs[w], func(i int, f *figures) float64 { return f.perSecond() })
		r.CPUCores = median(runs[w], func(i int, f *figures) float64 { return f.cores() })
		r.CPUNs = median(runs[w], func(i int, f *figures) float64 { return f.cpu.Seconds() * 1e9 / float64(f.records) })
		for base, ratio := range map[string]*float64{"tcp": &r.RatioToTCP, "core": &r.RatioToCore, "pipeline-tcp": &r.ToPipeTCP, "pipeline-core": &r.ToPipeCore} {
			if runs[base] != nil {
				*ratio = median(runs[w], func(i int, f *figures) float64 { return f.perSecond() / runs[base][i].perSecond() })
			}
		}
		if l.rate > 0 {
			timed := l
			timed.records = uint64(l.rate * l.timed.Seconds())
			f, err := measureAt(ctx, w, timed, l.rate)
			if err != nil {
				return fmt.Errorf("%s at %v records a second: %w", w, l.rate, err)
			}
			r.Rate, r.RateCores = f.perSecond(), f.cores()
			r.P50Ms, r.P99Ms = f.quantile(0.5), f.quantile(0.99)
			p50s[w] = r.P50Ms
			for base, ratio := range map[string]*float64{"committed-core": &r.P50ToCore, "committed-tcp": &r.P50ToTCP} {
				if p50s[base] > 0 {
					*ratio = r.P50Ms / p50s[base]
				}
			}
			r.CommitsPerS = float64(f.commits) / workers / f.took.Seconds()
			r.ReadyMs, r.PutMs = f.ready.Seconds()*1e3/workers, f.put.Seconds()*1e3/workers
		}
		if err := tell(r); err != nil {
			return err
		}
	}
	return nil
}

// median is that of what of gives for each run.
func median(runs []*figures, of func(i int, f *figures) float64) float64 {
	var all []float64
	for i, f := range runs {
		all = append(all, of(i, f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
