// Package filelock locks files, so that of two processes one alone writes to a folder.
// The lock ends with the process that holds it, however that ends.
package filelock
