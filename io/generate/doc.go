// Package generate makes elements by number, at a rate: a stream for trying things
// out, for tests and for load.
//
// Element n is always the same, has the same event time where times go by number,
// and is due at the same moment after the start: a run that goes on from a snapshot,
// or that cannot keep up, makes what was due meanwhile as fast as it can, and the
// times that an element waits are honest ones.
package generate
