// Package held has the decisions of the distributed runner: held micro-epochs. A
// [Slot] sends the frames of its epochs early; receivers hold them and acknowledge;
// then the slot commits its [Record] by compare-and-set, and only then receivers
// apply. A [Leader] names cuts by colour, completes them in the [Job] record and
// decides rollbacks. A [Register] is a value over one acceptor or three.
//
// The package is pure: events in, decisions out. It knows of frames their numbers
// and sizes; who drives it has the bytes. Nothing in it reads a clock, starts a
// goroutine or does I/O, and no map's order shows, so that the simulation in
// internal/held/sim drives the very code that runs in production.
//
// A core is for one goroutine at a time. What it decides is a list of [Act]; who
// drives it takes the list after each event and performs it in order.
package held
