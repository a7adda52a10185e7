// Package statelog keeps epochs in files of one folder: whole ones, and behind each
// what has changed since. All state is read into memory by whoever opens it.
package statelog
