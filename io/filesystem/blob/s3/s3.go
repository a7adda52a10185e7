// Package s3 makes s3://bucket/key known as a path: files in Amazon S3 and its like.
// It is for a blank import; credentials come from the environment.
package s3

import (
	_ "gocloud.dev/blob/s3blob" // opens the buckets

	"github.com/millrace/millrace/io/filesystem/blob"
)

func init() { blob.Register("s3", nil) }
