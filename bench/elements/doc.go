// Package elements benchmarks what one element costs: chains of maps, grouping,
// combining, joining, each beside the loop that one writes by hand.
//
//	go test -bench . ./bench/elements
//
// ns/elem is the figure to read; B/op and allocs/op are of a whole run of a
// million elements, start-up included.
package elements
