package statelog

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// fill writes n rows with values of so many bytes, lanes side by side; each lane has
// its own range of groups.
func fill(e commit.Epoch, lanes, n, first, size int) {
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			w := e.Lane(lane)
			w.Node("count")
			key, val := make([]byte, 16), make([]byte, size)
			for i := lane; i < n; i += lanes {
				binary.BigEndian.PutUint64(key, uint64(first+i)*0x9E3779B97F4A7C15)
				binary.LittleEndian.PutUint64(val, uint64(i))
				w.Put((lane*keygroup.N+i%keygroup.N)/lanes, key, val)
			}
		})
	}
	wg.Wait()
}

// A million changed rows of 16+16 bytes an epoch, on a real disk.
func BenchmarkCommit(b *testing.B) {
	const n = 1_000_000
	fs, err := OSFS(b.TempDir())
	require.NoError(b, err)
	l, err := Open(fs, Config{})
	require.NoError(b, err)
	defer l.Close()
	b.ReportAllocs()
	b.SetBytes(n * 32)
	for b.Loop() {
		e := l.Begin(2)
		if l.WantsWhole() {
			e.Whole()
		}
		fill(e, 2, n, 0, 16)
		require.NoError(b, e.Commit(&commit.Record{}))
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// An epoch in which little has changed: what a commit costs at least.
func BenchmarkCommit_small(b *testing.B) {
	fs, err := OSFS(b.TempDir())
	require.NoError(b, err)
	l, err := Open(fs, Config{})
	require.NoError(b, err)
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		e := l.Begin(2)
		if l.WantsWhole() {
			e.Whole()
		}
		fill(e, 2, 10, 0, 16)
		require.NoError(b, e.Commit(&commit.Record{}))
	}
}

// restore opens a log of n rows of about 100 bytes, of which every tenth has changed
// since the base if changed is set, and reads it with two goroutines.
func restore(b *testing.B, n int, changed bool) {
	dir := b.TempDir()
	fs, err := OSFS(dir)
	require.NoError(b, err)
	l, err := Open(fs, Config{})
	require.NoError(b, err)
	e := l.Begin(2)
	fill(e, 2, n, 0, 84)
	require.NoError(b, e.Commit(&commit.Record{}))
	if changed {
		e := l.Begin(2)
		fill(e, 2, n/10, n/20, 84)
		require.NoError(b, e.Commit(&commit.Record{}))
	}
	require.NoError(b, l.Close())
	b.SetBytes(int64(n) * 100)
	b.ReportAllocs()
	for b.Loop() {
		l, err := Open(fs, Config{})
		require.NoError(b, err)
		var count atomic.Int64
		var wg sync.WaitGroup
		for half := range 2 {
			wg.Go(func() {
				seen := 0
				want := commit.Want{Group: func(g int) bool { return g/(keygroup.N/2) == half }}
				if err := l.Rows(want, func(r commit.Row) error { seen++; return nil }); err != nil {
					b.Error(err)
				}
				count.Add(int64(seen))
			})
		}
		wg.Wait()
		require.EqualValues(b, n, count.Load())
		require.NoError(b, l.Close())
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkRestore(b *testing.B) {
	b.Run("100MB", func(b *testing.B) { restore(b, 1_000_000, false) })
	b.Run("100MB-changed", func(b *testing.B) { restore(b, 1_000_000, true) })
}

// A base, and behind it thousands of epochs in each of which many nodes have changed a little.
func BenchmarkRestore_manyEpochs(b *testing.B) {
	fs := newFake()
	l, err := Open(fs, Config{ID: 7})
	require.NoError(b, err)
	for n := range 3000 {
		e := l.Begin(2)
		for lane := range 2 {
			w := e.Lane(lane)
			for node := range 20 {
				w.Node(fmt.Sprint("node", node))
				w.Put(lane*512+n%512, binary.BigEndian.AppendUint32(nil, uint32(n)), nil)
			}
		}
		require.NoError(b, e.Commit(&commit.Record{}))
	}
	require.NoError(b, l.Close())
	b.ReportAllocs()
	for b.Loop() {
		l, err := Open(fs, Config{})
		require.NoError(b, err)
		count := 0
		require.NoError(b, l.Rows(commit.Want{}, func(commit.Row) error { count++; return nil }))
		require.Equal(b, 3000*20, count) // both lanes have the same keys
		require.NoError(b, l.Close())
	}
}

// 1 GB, ten million rows.
func BenchmarkRestore_large(b *testing.B) { restore(b, 10_000_000, false) }
