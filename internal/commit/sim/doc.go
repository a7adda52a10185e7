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
//
// What is simulated: lanes that read splits, exchange elements by key, keep sums and
// lists, and write to transactional sinks; cuts, commits beside the lanes, restarts by
// the cycle, failures of user code, processes that end, are killed or lose the power
// together with the machine, and come back with another number of lanes; rows that are
// read while an epoch is committed; disks that are full, slow, or fail a sync; a flipped
// byte. What is not: watermarks and timers (rows like others), rows that are read one
// by one, goroutines, user code.
//
// When a seed fails, TestSim prints the command that runs it again, the least plan that
// fails and what happens in it. The plan goes into testdata/seeds.txt, with the fix.
// Package plant names the bugs that the simulation has to find; they are built in with
// the tag "planted".
package sim
