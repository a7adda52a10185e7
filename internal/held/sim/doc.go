// Package sim runs many slots of the distributed protocol in simulation: the very
// cores of internal/held, on processes that crash and pause, a network that loses,
// doubles, delays and reorders, connections that are cut, acceptors that go down and
// answers that do not come. One seed gives one run, bit for bit, and each run is judged
// by invariants, each with a name, and by a sequential run of the same job.
//
// A run is a plan ([NewPlan]) and a schedule. The plan says how the job and the network
// are and which faults happen when; the schedule is one stream of random numbers. Both
// come from the seed, apart from each other, so that a fault can be dropped and the
// rest of the plan stays as it was: that is how [Shrink] works.
//
// The job has two shuffles: a source in each slot, a keyed stage that fans out, a keyed
// stage that counts, a sink. What each element becomes is certain; who comes first at a
// key is not, and each fan-out carries a random number, so that two runs of one epoch
// are told apart.
//
// What is a model here: the engine's lanes, the changelog and objects (they take time
// and fail with the process that writes), the detection of processes that are gone. All
// messages and records pass through their bytes.
package sim
