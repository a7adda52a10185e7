// Package blob is files in object stores, through gocloud.dev/blob. Programs import
// the driver of a store, which registers it, and through it this package:
//
//	import _ "github.com/millrace/millrace/io/filesystem/blob/s3"    // s3://bucket/key
//	import _ "github.com/millrace/millrace/io/filesystem/blob/gs"    // gs://bucket/key
//	import _ "github.com/millrace/millrace/io/filesystem/blob/azure" // azblob://container/key
//	import _ "github.com/millrace/millrace/io/filesystem/blob/mem"   // mem://bucket/key, for tests
//
// Credentials come from the environment, as the store's own tools find them.
//
// Object stores can neither rename an object nor write on in one. A file that is
// being written is therefore a series of objects, one for each Sync, below a
// hidden name beside its own:
//
//	out/.x.txt.1f2e3d4c.partial/00000000
//	out/.x.txt.1f2e3d4c.partial/00000001
//
// Commit makes one object of them, which stores show whole or not at all: by a
// copy within the store where there is one part, else by reading and writing
// them. What is written goes over the wire up to three times, then.
package blob
