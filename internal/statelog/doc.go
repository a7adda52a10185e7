// Package statelog keeps epochs in files of one folder: whole ones, and behind each
// what has changed since. All state is read into memory by whoever opens it.
//
// A file is written from one end to the other by one process, and synced once for each
// epoch. A recovery goes through the files in the order in which they were begun; each
// says which epoch was the newest when it was, and so drops what earlier files hold
// behind that. docs/format/statelog.md has the bytes and the rules.
//
// Nothing here starts a goroutine, reads a clock (but to wait for room, which Config
// can replace), or lets the order of a map show.
package statelog
