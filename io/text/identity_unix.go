//go:build unix

package text

import (
	"io/fs"
	"syscall"
)

// identify is what the file system knows a file by.
func identify(_ string, info fs.FileInfo) fileID {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(s.Dev), uint64(s.Ino)}
}

// links is how many names a file has; none: it is deleted.
func links(info fs.FileInfo) uint64 {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(s.Nlink)
}
