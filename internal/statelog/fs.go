package statelog

import "io"

// FS is the one folder that a log lives in. The simulation has one that loses what
// was not synced.
type FS interface {
	// Create makes or empties a file. Its name is durable after SyncDir, its content after Sync.
	Create(name string) (File, error)
	Open(name string) (ReadFile, error)
	List() ([]string, error) // sorted
	Rename(from, to string) error
	Remove(name string) error
	SyncDir() error
	// Lock takes the file of that name for this process, until the closer is closed.
	// It fails at once if another process has it.
	Lock(name string) (io.Closer, error)
}

// File is written from its start to its end.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// ReadFile is read at random.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
