// Package transforms is composites over the public contract of package pipeline:
// counts, sums, extremes, quantiles, samples, joins and more.
//
// Most come in two forms: per key, taking a Keyed collection, and Globally, over a
// whole collection. Both give one result for each window. Of an empty collection a
// Globally gives the result of nothing (0, an [Optional] that is not OK, an empty
// slice) in the global window, and none at all in other windows.
//
// What a transform folds with is there by itself, too, for state and for other
// combines: [CountOf], [SumOf], [MeanOf], [BestOf], [TopOf] and so on. These take no
// pipeline, so a mistake in their arguments is reported by the next one that is run.
//
// Options go to the step that keeps state: pipeline.Named ties it to the code
// across versions.
package transforms
