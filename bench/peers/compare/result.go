package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/bench/nexmark/gen"
)

// result is what one run printed, as far as it is looked at here.
type result struct {
	Events     uint64  `json:"events"`
	EventsPerS float64 `json:"events_per_s"`
	OutCount   uint64  `json:"out_count"`
	Checksum   string  `json:"checksum"`
	RSSMB      float64 `json:"rss_mb"`    // peak
	CPUS       float64 `json:"cpu_s"`     // of the whole process
	RunCPUS    float64 `json:"run_cpu_s"` // without start-up, where the engine says
}

// parse takes the last line of out that is a JSON object.
func parse(out []byte) (result, error) {
	lines := bytes.Split(out, []byte("\n"))
	for _, line := range slices.Backward(lines) {
		// Colour codes of a build tool may come before it.
		at := bytes.IndexByte(line, '{')
		if at < 0 {
			continue
		}
		var r result
		if err := json.Unmarshal(line[at:], &r); err != nil {
			return result{}, fmt.Errorf("parse its result: %w: %s", err, line)
		}
		if r.EventsPerS <= 0 {
			return result{}, fmt.Errorf("parse its result: no rate: %s", line)
		}
		return r, nil
	}
	return result{}, errors.New("it printed no result")
}

// check compares count and checksum with those on file.
func (r result) check(query string, n uint64) error {
	count, sum, ok := gen.Expected(query, n)
	switch {
	case !ok:
		return fmt.Errorf("bench/peers/expected.tsv has no result of %s over %d events to check against", query, n)
	case r.OutCount != count || r.Checksum != sum:
		return fmt.Errorf("wrong result: %d outputs, checksum %s; want %d, %s", r.OutCount, r.Checksum, count, sum)
	}
	return nil
}

// cpuNs is CPU time per source event: the steadier figure on a busy machine.
func (r result) cpuNs() float64 {
	cpu := r.RunCPUS
	if cpu == 0 {
		cpu = r.CPUS
	}
	return cpu * 1e9 / float64(max(r.Events, 1))
}

// sample is all that one contender did.
type sample struct {
	contender
	results []result
	err     error // why there are no more results
}

func (s sample) rate() float64 {
	return median(s.results, func(r result) float64 { return r.EventsPerS })
}
func (s sample) cpuNs() float64 { return median(s.results, result.cpuNs) }
func (s sample) rss() float64 {
	return median(s.results, func(r result) float64 { return r.RSSMB })
}

// median is 0 of no results, and the mean of the middle two of an even number.
func median(rs []result, of func(result) float64) float64 {
	if len(rs) == 0 {
		return 0
	}
	var xs []float64
	for _, r := range rs {
		xs = append(xs, of(r))
	}
	slices.Sort(xs)
	return (xs[len(xs)/2] + xs[(len(xs)-1)/2]) / 2
}
