// Package graph is the contract between what is built and what is run.
//
// Package pipeline builds a [Graph]: immutable nodes, each with a typed half (an
// [Op] or a [Source]) that was made by a generic function and is kept behind an
// interface. Package engine runs it and never sees an element: it knows receivers
// (a func(*Ctx, T) in an any), batches, watermarks and barriers.
//
// Nothing of a run hangs on a node: ops are factories, opened once for each lane
// of each run. What a run shares is in [Run].
package graph
