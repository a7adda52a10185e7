// Package mem makes mem://bucket/key known as a path: files in the memory of this
// process, for tests. A bucket is there as soon as it is named. It is for a blank
// import.
package mem

import (
	"context"

	gocloud "gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/millrace/millrace/io/filesystem/blob"
)

func init() {
	blob.Register("mem", func(context.Context, string) (*gocloud.Bucket, error) {
		return memblob.OpenBucket(nil), nil
	})
}
