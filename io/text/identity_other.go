//go:build !unix

package text

import (
	"hash/fnv"
	"io/fs"
)

// identify knows a file by its name, as nothing better can be had.
func identify(path string, _ fs.FileInfo) fileID {
	h := fnv.New64a()
	h.Write([]byte(path))
	return fileID{0, h.Sum64()}
}

// links cannot tell.
func links(fs.FileInfo) uint64 { return 1 }
