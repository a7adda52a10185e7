// Package transforms is composites over the public contract of package pipeline:
// counts, sums, extremes, quantiles, samples, joins and more.
//
// Most come in two forms: per key, taking a Keyed collection, and Globally,
// over a whole collection, with one result for each window. Where a combiner is of
// use by itself, in state for example, it is there too: SumOf, MeanOf, TopOf, …
package transforms
