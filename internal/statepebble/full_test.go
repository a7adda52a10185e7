package statepebble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// fullable is a disk that can be full, or unable to sync.
type fullable struct {
	vfs.FS
	full atomic.Bool
	sick atomic.Bool
}

var errSick = errors.New("the disk is sick")

func (f *fullable) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return &fullableFile{file, f}, err
}

func (f *fullableFile) Sync() error {
	if f.f.sick.Load() {
		return errSick
	}
	return f.File.Sync()
}

func (f *fullableFile) SyncData() error { return f.Sync() }

func (f *fullableFile) SyncTo(n int64) (bool, error) {
	if f.f.sick.Load() {
		return false, errSick
	}
	return f.File.SyncTo(n)
}

func (f *fullable) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.full.Load() {
		return nil, syscall.ENOSPC
	}
	file, err := f.FS.Create(name, c)
	return &fullableFile{file, f}, err
}

type fullableFile struct {
	vfs.File
	f *fullable
}

// Write writes the half of what there is no room for.
func (f *fullableFile) Write(b []byte) (int, error) {
	if !f.f.full.Load() {
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:len(b)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

// sizes are a value that goes through the log, and one that goes into a table.
var sizes = map[string]int{"log": 100, "table": 20_000}

func writeOne(s *Store, key string, size int) (commit.Epoch, *commit.Record) {
	e := s.Begin(1)
	w := e.Lane(0)
	w.Node("n")
	w.Put(1, []byte(key), []byte(strings.Repeat(key, size)))
	return e, &commit.Record{Lanes: 1}
}

func mustGet(t *testing.T, s *Store, key string, size int) {
	val, ok, err := s.Get("n", 1, []byte(key), nil)
	require.NoError(t, err)
	if size == 0 {
		require.False(t, ok)
		return
	}
	require.Equal(t, strings.Repeat(key, size), string(val))
}

func TestCommitWaitsForRoomOnTheDisk(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			fs := &fullable{FS: vfs.NewMem()}
			told := make(chan error, 10)
			cfg := Config{FS: fs, MemTableBytes: 16 << 10, OnFull: func(err error) { told <- err }, retry: time.Millisecond}
			s, err := Open("state", cfg)
			require.NoError(t, err)
			e, rec := writeOne(s, "a", size)
			require.NoError(t, e.Commit(rec))
			fs.full.Store(true)
			done := make(chan error)
			e, rec = writeOne(s, "b", size)
			go func() { done <- e.Commit(rec) }()
			require.ErrorIs(t, <-told, syscall.ENOSPC)
			mustGet(t, s, "a", size)
			mustGet(t, s, "b", 0)
			fs.full.Store(false)
			for err := range told {
				if err == nil {
					break
				}
			}
			require.NoError(t, <-done)
			mustGet(t, s, "b", size)
			require.NoError(t, s.Close())
			s, err = Open("state", Config{FS: fs})
			require.NoError(t, err)
			require.Equal(t, uint64(2), s.Last().Epoch)
			mustGet(t, s, "a", size)
			mustGet(t, s, "b", size)
			require.NoError(t, s.Close())
		})
	}
}

func TestWaitingForRoomEndsWithTheRun(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			fs := &fullable{FS: vfs.NewMem()}
			ctx, stop := context.WithCancelCause(t.Context())
			told := make(chan error, 10)
			cfg := Config{FS: fs, MemTableBytes: 16 << 10, Context: ctx, OnFull: func(err error) { told <- err }, retry: time.Millisecond}
			s, err := Open("state", cfg)
			require.NoError(t, err)
			e, rec := writeOne(s, "a", size)
			require.NoError(t, e.Commit(rec))
			fs.full.Store(true)
			done := make(chan error)
			e, rec = writeOne(s, "b", size)
			go func() { done <- e.Commit(rec) }()
			require.ErrorIs(t, <-told, syscall.ENOSPC)
			stop(fmt.Errorf("the run was stopped"))
			err = <-done
			require.ErrorContains(t, err, "commit epoch 2 to state")
			require.ErrorContains(t, err, "no space left")
			mustGet(t, s, "a", size)
			mustGet(t, s, "b", 0)
			require.Equal(t, uint64(1), s.Last().Epoch)
			if name == "log" {
				e, rec = writeOne(s, "c", size)
				require.ErrorContains(t, e.Commit(rec), "after an earlier failure")
			}
			require.NoError(t, s.Close())
			fs.full.Store(false)
			s, err = Open("state", Config{FS: fs})
			require.NoError(t, err)
			require.Equal(t, uint64(1), s.Last().Epoch)
			mustGet(t, s, "a", size)
			mustGet(t, s, "b", 0)
			e, rec = writeOne(s, "d", size)
			require.NoError(t, e.Commit(rec))
			mustGet(t, s, "d", size)
			require.NoError(t, s.Close())
		})
	}
}

// A disk that can't sync ends the store, not the process.
func TestSickDisk(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			fs := &fullable{FS: mem}
			s, err := Open("state", Config{FS: fs, MemTableBytes: 16 << 10, retry: time.Millisecond})
			require.NoError(t, err)
			e, rec := writeOne(s, "a", size)
			require.NoError(t, e.Commit(rec))
			fs.sick.Store(true)
			for range 3 {
				e, rec = writeOne(s, "b", size)
				require.ErrorContains(t, e.Commit(rec), errSick.Error())
			}
			mustGet(t, s, "a", size)
			mustGet(t, s, "b", 0)
			_ = s.Close() // may say so, too
			s, err = Open("state", Config{FS: mem.CrashClone(vfs.CrashCloneCfg{})})
			require.NoError(t, err)
			require.Equal(t, uint64(1), s.Last().Epoch)
			mustGet(t, s, "a", size)
			require.NoError(t, s.Close())
		})
	}
}
