// Command compare runs queries of bench/peers/NEXMARK.md on Millrace and on the
// engines beside it in one sitting: one run of each in turn, as many rounds as
// asked for. It checks every result, and prints medians, ratios, and whether
// they reach the floors and goals of the design.
//
//	go run ./bench/peers/compare -q q0,w2 -par 2 -runs 5
//
// An engine that lacks a query, or cannot be built on this machine, is left out
// with a note. The exit status is 1 when a run failed or gave a wrong result,
// and when a floor was missed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	cfg := config{}
	var queries, engines string
	flag.StringVar(&queries, "q", "q0,q1,q2,q3,q5,q7,w1,w2,w3", "queries: "+strings.Join(queryNames(), ", "))
	flag.StringVar(&engines, "engines", "ours,go,timely,flink", "engines to run")
	flag.IntVar(&cfg.par, "par", 2, "lanes or workers of each engine; the loop has one, and Millrace runs on one as well beside it")
	flag.IntVar(&cfg.runs, "runs", 5, "rounds")
	flag.Uint64Var(&cfg.n, "n", 0, "source events (w1: lines), one of bench/peers/expected.tsv; 0: the query's default")
	flag.Parse()
	cfg.queries, cfg.engines = strings.Split(queries, ","), strings.Split(engines, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, cfg, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// config says what to run.
type config struct {
	queries, engines []string
	par, runs        int
	n                uint64 // 0: each query's default
}

func (c config) validate() error {
	for _, q := range c.queries {
		if !slices.Contains(queryNames(), q) {
			return fmt.Errorf("no query %q: there is %s", q, strings.Join(queryNames(), ", "))
		}
	}
	for _, e := range c.engines {
		if !slices.Contains(engineNames, e) {
			return fmt.Errorf("no engine %q: there is %s", e, strings.Join(engineNames, ", "))
		}
	}
	if c.par < 1 || c.runs < 1 {
		return fmt.Errorf("-par %d -runs %d: both must be 1 or more", c.par, c.runs)
	}
	return nil
}

// run runs all queries and writes the report to out, progress to progress. Its
// error lists all failures and missed floors; the report is written all the same.
func run(ctx context.Context, cfg config, out, progress io.Writer) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	lab, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer lab.close()
	usable, notes := lab.prepare(ctx, cfg.engines, progress)
	if slices.Contains(cfg.engines, "ours") && !slices.Contains(usable, "ours") {
		return errors.New(strings.Join(notes, "; "))
	}
	fmt.Fprintln(out, machine(ctx, lab.root))
	fmt.Fprintf(out, "settings: parallelism %d, %d rounds, medians; time includes making the events, start-up excluded\n", cfg.par, cfg.runs)
	for _, note := range notes {
		fmt.Fprintln(out, note)
	}
	var problems []string
	for _, q := range cfg.queries {
		n := cmp.Or(cfg.n, defaultN[q])
		samples, err := measure(ctx, lab, contenders(q, cfg.par, usable), n, cfg.runs, progress)
		if err != nil {
			return err
		}
		ratios := judge(q, samples)
		fmt.Fprintf(out, "\n%s, %d events\n", q, n)
		writeSamples(out, samples)
		writeRatios(out, ratios)
		problems = append(problems, complaints(q, samples, ratios)...)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// measure runs all contenders in turn, rounds times. One that fails runs no more;
// the error of measure is that of ctx.
func measure(ctx context.Context, l *lab, cs []contender, n uint64, rounds int, progress io.Writer) ([]sample, error) {
	samples := make([]sample, len(cs))
	for round := range rounds {
		for i, c := range cs {
			s := &samples[i]
			s.contender = c
			if s.err != nil {
				continue
			}
			fmt.Fprintf(progress, "%s round %d of %d: %s\n", c.query, round+1, rounds, c.label())
			r, err := l.run(ctx, c, n)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if s.err = err; err == nil {
				s.results = append(s.results, r)
			}
		}
	}
	return samples, nil
}

// complaints is what makes the exit status 1.
func complaints(query string, samples []sample, ratios []ratio) (cs []string) {
	for _, s := range samples {
		if s.err != nil {
			cs = append(cs, fmt.Sprintf("%s on %s failed", query, s.label()))
		}
	}
	for _, r := range ratios {
		if r.verdict() == floorMissed {
			cs = append(cs, fmt.Sprintf("%s: %s: %.2f, floor %v", query, r.what, r.value, r.limit.floor))
		}
	}
	return cs
}
