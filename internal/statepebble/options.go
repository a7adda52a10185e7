package statepebble

import (
	"context"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config is how a store is opened. Its zero value will do.
type Config struct {
	// CacheBytes is the memory for blocks read from disk; 0: 160 MiB. What is being
	// written takes its share of it, up to three times MemTableBytes.
	CacheBytes int64
	// MemTableBytes is the size above which rows are written to disk in order; 0: 32
	// MiB. An epoch of more than half of it is one such write of its own; at most
	// about three times as much is in memory at once, or two epochs.
	MemTableBytes int
	// OnFull is told that the disk is full and writing waits, and of nil once it goes
	// on. It is called on any goroutine, and must not call the store.
	OnFull func(error)
	// Warn is told sentences for people: of damage that recovery got along with, or
	// that was found behind. It may be called on any goroutine.
	Warn func(string)
	// Context ends the waiting for room on the disk; nil: it is waited for ever.
	Context context.Context
	// FS is where the folder is; nil: the machine's file system.
	FS vfs.FS

	retry time.Duration // between two looks for room on the disk
}

func (c Config) withDefaults() Config {
	if c.CacheBytes == 0 {
		c.CacheBytes = 160 << 20
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = 32 << 20
	}
	if c.OnFull == nil {
		c.OnFull = func(error) {}
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.Context == nil {
		c.Context = context.Background()
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.retry == 0 {
		c.retry = 250 * time.Millisecond
	}
	return c
}

// formatMajor is the format of the library's files: fixed, so that a newer library
// goes on writing what an older one of ours can read.
const formatMajor = pebble.FormatValueSeparation

// layersMax is how many tables a read may have to look into, above the levels, before writing waits.
const layersMax = 24

// fileSize is that of the tables on all levels: a table's filter is one block, which a
// read takes as a whole, and larger ones find no room in the cache.
const fileSize = 8 << 20

func (c Config) options(fs vfs.FS, log *logger, room *room) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		FormatMajorVersion:          formatMajor,
		Merger:                      merger,
		Logger:                      log,
		EventListener:               log.listener(room),
		CacheSize:                   c.CacheBytes,
		MemTableSize:                uint64(c.MemTableBytes),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0CompactionFileThreshold:   500,
		L0StopWritesThreshold:       layersMax,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                500,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	o.Experimental.ReadSamplingMultiplier = -1 // reads start no compactions
	for i := range o.Levels {
		o.TargetFileSizes[i] = fileSize
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].IndexBlockSize = 64 << 10
	}
	return o
}

// merger makes one value of those that were appended, and one number of a tally.
var merger = &pebble.Merger{
	Name: "millrace.append.1",
	Merge: func(key, value []byte) (pebble.ValueMerger, error) {
		if string(key) == string(tallyKey) {
			return newSum(value)
		}
		j := &joiner{}
		return j, j.MergeNewer(value)
	},
}

// joiner concatenates.
type joiner struct {
	newer []byte   // what came at first, and what is newer than that
	older [][]byte // what is older, the newest first
	size  int
}

func (j *joiner) MergeNewer(v []byte) error {
	j.newer = append(j.newer, v...)
	return nil
}

func (j *joiner) MergeOlder(v []byte) error {
	j.older = append(j.older, append([]byte(nil), v...))
	j.size += len(v)
	return nil
}

func (j *joiner) Finish(bool) ([]byte, io.Closer, error) {
	if len(j.older) == 0 {
		return j.newer, nil, nil
	}
	b := make([]byte, 0, j.size+len(j.newer))
	for i := len(j.older) - 1; i >= 0; i-- {
		b = append(b, j.older[i]...)
	}
	return append(b, j.newer...), nil, nil
}
