package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/millrace/millrace/internal/chaos"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	_ "github.com/millrace/millrace/runners/distributed"
)

// jobVar is the variable by which a process knows that it is a job on the distributed
// runner, or a worker of it: what it holds is a job. This process then only measures.
const jobVar = "NEXMARK_JOB"

// job is what all processes of a distributed run have to know.
type job struct {
	Query    string
	Events   uint64
	Throttle float64 // events a second of each lane; 0: as fast as can be
	Out      string  // folder for the tallies of lanes
}

// beJob runs the job that this process was started for, if it was, and does not return.
func beJob() {
	text := os.Getenv(jobVar)
	if text == "" {
		return
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fatal(fmt.Errorf("%s: %w", jobVar, err))
	}
	flag.CommandLine = flag.NewFlagSet("nexmark", flag.ExitOnError)
	runners.Main(func(p *pipeline.Pipeline) {
		queries[j.Query](p, workload{events: j.Events, tallied: true, tallies: j.Out, throttle: j.Throttle})
	})
	os.Exit(0)
}

// cluster is a run on the distributed runner.
type cluster struct {
	workers, lanes int // lanes of each worker
	kills          int // workers that are killed meanwhile, one at a time
	seed           uint64
	throttle       float64
	program        string
	chaos          string // for the runner: what it does to its workers; "": nothing
}

var (
	someWork = regexp.MustCompile(`^all are here: `) // slots run
	survived = regexp.MustCompile(`^survived: `)     // at the end of -chaos
)

// runDistributed runs one query in many processes.
func runDistributed(ctx context.Context, q string, n uint64, c cluster) (*result, error) {
	if _, err := find(q); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "nexmark-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	text, err := json.Marshal(job{q, n, c.throttle, dir})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.program, "-runner=distributed", fmt.Sprint("-workers=", c.workers), fmt.Sprint("-parallelism=", c.lanes), "-progress=off", "-chaos="+c.chaos)
	cmd.Env = append(os.Environ(), jobVar+"="+string(text))
	start := time.Now()
	j, err := chaos.Start(cmd)
	if err != nil {
		return nil, err
	}
	defer j.End()
	killed, err := c.kill(ctx, j)
	if err == nil {
		err = j.Wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nwhat the job has said:\n%s", err, j.Text())
	}
	s := time.Since(start).Seconds()
	res := &result{Engine: "millrace", Query: q, Par: c.workers * c.lanes, Events: n, Seconds: round(s), EventsPerS: round(float64(n) / s), Workers: c.workers, Kills: killed, CPUS: round((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())}
	res.NsPerEvent = round(res.CPUS * 1e9 / float64(n))
	if c.chaos != "" {
		line, _, err := j.Await(ctx, 0, survived)
		if err != nil {
			return nil, err
		}
		res.Survived = line.Text
	}
	return res, res.gather(dir)
}

// kill kills workers at random moments, each after the one before is back, until there
// were enough of them or the job has ended.
func (c cluster) kill(ctx context.Context, j *chaos.Job) (killed int, err error) {
	r := rand.New(rand.NewPCG(c.seed, 1))
	if _, _, err := j.Await(ctx, 0, someWork); err != nil {
		return 0, err
	}
	for killed < c.kills {
		wait := time.Duration(100+r.IntN(500)) * time.Millisecond
		worker := 1 + r.IntN(c.workers)
		select {
		case <-time.After(wait):
		case <-j.Ended():
			return killed, nil
		case <-ctx.Done():
			return killed, context.Cause(ctx)
		}
		from := len(j.Says())
		done, err := j.Kill(worker)
		if err != nil {
			return killed, err
		}
		if !done {
			continue
		}
		killed++
		back := regexp.MustCompile(fmt.Sprintf(`^worker %d \(.*\) is here$|^the job is done$`, worker))
		if _, _, err := j.Await(ctx, from, back); err != nil {
			return killed, err
		}
	}
	return killed, nil
}

// gather adds up the tallies of all lanes.
func (r *result) gather(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "lane-*"))
	if err != nil {
		return err
	}
	if len(files) != r.Par {
		return fmt.Errorf("there are tallies of %d lanes, not of %d", len(files), r.Par)
	}
	var all uint64
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var count, sum uint64
		if _, err := fmt.Sscanf(string(b), "%d %x", &count, &sum); err != nil {
			return fmt.Errorf("the tally %s: %w", name, err)
		}
		r.OutCount += count
		all += sum
	}
	r.judge(all)
	return nil
}
