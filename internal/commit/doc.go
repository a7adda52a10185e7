// Package commit decides about epochs, and says what one leaves behind. A slot's
// run is cut into epochs; each is committed by a [Record], the only thing that
// recovery believes. The package is pure: [Cycle] takes events and gives decisions,
// [Store] is what a driver and the keepers of rows agree upon. Nothing in it reads
// a clock, does I/O or starts a goroutine, so that seeded simulation can drive it.
package commit
