package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// comparison is what checkpoints cost: medians over rounds of two runs each, without
// them and with them, each run in a process of its own and all else the same.
type comparison struct {
	Engine     string  `json:"engine"`
	Query      string  `json:"query"`
	Par        int     `json:"par"`
	Events     uint64  `json:"events"`
	State      string  `json:"state"`
	IntervalMs int64   `json:"interval_ms"`
	Rounds     int     `json:"rounds"`
	Without    float64 `json:"events_per_s_without"`
	With       float64 `json:"events_per_s_with"`
	Cost       float64 `json:"cost"` // share of events per second that is lost
	NsWithout  float64 `json:"cpu_ns_per_event_without"`
	NsWith     float64 `json:"cpu_ns_per_event_with"`
	CostCPU    float64 `json:"cost_cpu"` // share of processor time that is added
}

// compare runs the program rounds times without and with checkpoints, in turns, so that
// a machine that gets slower does so for both.
func compare(program string, args []string, state string, interval time.Duration, rounds int) (*comparison, error) {
	if rounds < 1 {
		return nil, fmt.Errorf("-rounds %d: want at least 1", rounds)
	}
	var speeds, costs [2][]float64
	var last result
	for range rounds {
		for i, d := range []time.Duration{0, interval} {
			more := []string{"-tally", fmt.Sprint("-checkpoint-interval=", d)}
			if d > 0 {
				more = append(more, "-state="+state)
			}
			c := exec.Command(program, append(more, args...)...)
			c.Stderr = os.Stderr
			out, err := c.Output()
			if err != nil {
				return nil, err
			}
			if err := json.NewDecoder(bytes.NewReader(out)).Decode(&last); err != nil {
				return nil, err
			}
			speeds[i], costs[i] = append(speeds[i], last.EventsPerS), append(costs[i], last.NsPerEvent)
		}
	}
	c := &comparison{Engine: last.Engine, Query: last.Query, Par: last.Par, Events: last.Events, State: state, IntervalMs: interval.Milliseconds(), Rounds: rounds,
		Without: median(speeds[0]), With: median(speeds[1]), NsWithout: median(costs[0]), NsWith: median(costs[1])}
	c.Cost, c.CostCPU = round(1-c.With/c.Without), round(c.NsWith/c.NsWithout-1)
	return c, nil
}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}
