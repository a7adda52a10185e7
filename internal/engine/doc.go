// Package engine runs graphs. It sees no element type: it knows receivers,
// batches, watermarks and barriers, and imports graph, never flow or pipeline.
//
// A slot is one run of one graph in this process: lanes, which are goroutines
// that run every stage for their share of keys and source splits, and a
// coordinator, which is the caller of [Run]. What can be wrong in an interesting
// way is in pure cores: plan (stages and edges), progress (watermarks and
// barriers), pool (source splits), coordinator (cuts, commits, restarts). Lanes
// and slot are their drivers.
package engine
