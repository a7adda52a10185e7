// Package text reads and writes files of lines, and gives connectors of formats
// that have one record a line what they need to do the same.
//
// A file is cut into pieces by byte ranges, so that one big file uses every
// core; compressed files (.gz, .zst) are read from their beginning by one lane
// each. Files may be local, or wherever package filesystem has a driver for.
package text
