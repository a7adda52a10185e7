// Package chaos breaks jobs of real processes and looks whether anybody can tell.
//
// A [Job] is a program on the distributed runner, of whose workers it knows the
// processes. What is done to it, and when, is a [Schedule], which follows from a seed
// alone; [Run] lets a job with shuffles, windows, timers and transactional sinks run
// under one, and compares what it has written with what follows from its input.
package chaos
