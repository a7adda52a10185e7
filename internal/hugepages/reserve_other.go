//go:build !linux || race

package hugepages

// reserve does nothing: only Linux can be asked, and the race detector would touch a shadow of
// all of it.
func reserve(int) {}
