package main

import "slices"

// limit is what a ratio of ours to a peer's has to reach and what it should.
type limit struct{ floor, goal float64 }

// The floors and goals of the design for events/s, ours over the peer's.
var (
	loopLimit   = limit{0.6, 0.85} // stateless queries, one lane
	timelyLimit = limit{0.4, 0.8}
	flinkLimits = map[string]limit{
		"q0": {1.2, 1.9}, "q1": {2, 3}, "q2": {1.5, 2},
		"q3": {2.5, 4}, "q5": {12, 30}, "q7": {10, 25},
		"w1": {4, 8}, "w2": {3, 6}, "w3": {10, 25},
	}
	// memoryLimit is for peak memory, Flink's over ours.
	memoryLimit = limit{4, 20}
)

// verdict says how a ratio compares with its limit.
type verdict string

const (
	goalMet     verdict = "goal met"
	floorMet    verdict = "floor met, goal missed"
	floorMissed verdict = "floor missed"
	noLimit     verdict = "" // for information
)

// ratio is one comparison; greater is better for us.
type ratio struct {
	what  string
	value float64
	limit limit // zero: none was set
}

func (r ratio) verdict() verdict {
	switch {
	case r.limit == limit{}:
		return noLimit
	case r.value >= r.limit.goal:
		return goalMet
	case r.value >= r.limit.floor:
		return floorMet
	}
	return floorMissed
}

// judge compares our medians with each peer's at the same parallelism. A
// contender without results is in no comparison.
func judge(query string, samples []sample) (ratios []ratio) {
	for _, peer := range samples {
		if peer.engine == "ours" || len(peer.results) == 0 {
			continue
		}
		i := slices.IndexFunc(samples, func(s sample) bool {
			return s.engine == "ours" && s.par == peer.par && len(s.results) > 0
		})
		if i < 0 {
			continue
		}
		ours := samples[i]
		ratios = append(ratios, ratio{ours.label() + " / " + peer.label() + ", events/s", ours.rate() / peer.rate(), speedLimit(peer.engine, query)})
		if peer.engine == "flink" && ours.rss() > 0 {
			ratios = append(ratios, ratio{peer.label() + " / " + ours.label() + ", memory", peer.rss() / ours.rss(), memoryLimit})
		}
	}
	return ratios
}

func speedLimit(peer, query string) limit {
	switch peer {
	case "go":
		if query == "q0" || query == "q1" || query == "q2" {
			return loopLimit
		}
		return limit{}
	case "timely":
		return timelyLimit
	default:
		return flinkLimits[query]
	}
}
