// Package distributed runs pipelines in many processes, which find each other over NATS.
// A program that imports it has the runner:
//
//	import _ "github.com/millrace/millrace/runners/distributed"
//
//	app -runner=distributed -workers=3
//
// That starts three more processes of the program on this machine, and a NATS server in
// the first one. Each of them builds the same pipeline, and runs a part of it, its slot.
// One that dies is started again, and meanwhile its slot runs in another one; all end with
// the process that was started first. By -nats servers of others are used, and by -join
// processes on other machines work for the job, too: with the job's token, and only if
// they are the same program and have built the same graph.
//
// By -plane=direct the data that goes between slots does not go over NATS, but over TCP from
// each worker to each other one; by -plane=mesh over NATS servers in the workers, with routes
// between them. By -plane=log JetStream keeps what goes over NATS until it is taken
// in, so that the job never goes back to its last cut, however many workers die at once.
//
// By -chaos the job shows what it survives: it kills and pauses its own workers,
//
//	app -runner=distributed -workers=3 -chaos=kill=10s,pause=5s
//
// and says at its end how often it did, how often a slot was taken over, and for how long
// nothing was heard of one at most.
package distributed
