// Package azure makes azblob://bucket/key known as a path: files in Azure Blob Storage.
// It is for a blank import; credentials come from the environment.
package azure

import (
	_ "gocloud.dev/blob/azureblob" // opens the buckets

	"github.com/millrace/millrace/io/filesystem/blob"
)

func init() { blob.Register("azblob", nil) }
