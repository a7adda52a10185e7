// Package statepebble keeps the epochs of a slot in an LSM store of one folder, so
// that state may be larger than memory: rows are read on demand, one by one or in
// the order of their keys. docs/format/statepebble.md says what is in the folder.
package statepebble
