// Package gen is the deterministic Nexmark-style workload of
// bench/peers/NEXMARK.md as a library: events, text lines, the checksum and the
// expected results.
//
// Every field of an event is a pure function of the event's number, so any
// split of the numbers over workers makes the same stream, and every engine,
// in any language, must reach the same count and checksum. Nothing here has
// state that a caller can see; all functions may be called from many goroutines
// at once.
package gen
