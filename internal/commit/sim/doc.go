// Package sim runs the life of a slot in simulation: production's commit.Cycle and
// the file store under it, on a disk that loses what was not synced, with lanes,
// sources and sinks that are models. One seed gives one run, bit for bit, and each
// run is judged by an oracle that shares no code with what it judges.
//
// A run is a plan ([NewPlan]) and a schedule. The plan says how many lanes and
// splits there are and which faults happen; a fault happens when the run passes a
// [Point] for the n-th time. The schedule is one stream of random numbers. Both
// come from the seed, apart from each other, so that a fault can be dropped and
// the rest of the plan stays as it was: that is how [Shrink] works.
//
// There is one goroutine of control: Commit of a store runs as a coroutine that
// gives way at each call of the file system, so that lanes go on in between. No
// clock is read and no map's order counts.
package sim
