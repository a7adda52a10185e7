// Package upgrade compares the graph that made an epoch with the one that is to go on
// from it, and says of each transform what becomes of its rows: kept, migrated,
// dropped or refused. [Plan] decides, and is pure; [Result.Migration] makes new rows of
// old ones. Both know rows by their declarations alone (graph.Part), not by Go types,
// as does [Layout], which takes rows apart for people and puts them together again.
// docs/format/rows.md draws them.
package upgrade
