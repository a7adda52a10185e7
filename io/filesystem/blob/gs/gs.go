// Package gs makes gs://bucket/key known as a path: files in Google Cloud Storage.
// It is for a blank import; credentials come from the environment.
package gs

import (
	_ "gocloud.dev/blob/gcsblob" // opens the buckets

	"github.com/millrace/millrace/io/filesystem/blob"
)

func init() { blob.Register("gs", nil) }
