// Package savefile keeps a savepoint in one file: all rows of a committed epoch and
// its record, in an order of their own, whichever backend, number of lanes and runner
// made them. docs/format/savepoint.md draws the bytes.
//
// A file is written by [Write] and never changed afterwards; [Open] reads it as a
// commit.Pages that takes no new epochs, and [Import] brings it into another store.
// Every byte is under a checksum: what is damaged is an error, never data.
package savefile
