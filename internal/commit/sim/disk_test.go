package sim

import (
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeFile(t *testing.T, d *Disk, name, text string, sync bool) {
	f, err := d.Create(name)
	require.NoError(t, err)
	_, err = io.WriteString(f, text)
	require.NoError(t, err)
	if sync {
		require.NoError(t, f.Sync())
	}
	require.NoError(t, f.Close())
}

func readFile(t *testing.T, d *Disk, name string) string {
	f, err := d.Open(name)
	require.NoError(t, err)
	b := make([]byte, f.Size())
	_, err = f.ReadAt(b, 0)
	if len(b) > 0 {
		require.NoError(t, err)
	}
	return string(b)
}

// Goal: the disk is as bad as disks are allowed to be, and no worse. Method: many power
// losses of the same history, and the set of what is left.
func TestDisk_powerLoss(t *testing.T) {
	for _, c := range []struct {
		name     string
		history  func(d *Disk)
		always   map[string]string // what is left each time
		outcomes int               // at least so many different ones for the file "x", its absence included
	}{
		{"synced, and its name too", func(d *Disk) {
			writeFile(t, d, "x", "whole", true)
			require.NoError(t, d.SyncDir())
		}, map[string]string{"x": "whole"}, 1},
		{"synced, its name not", func(d *Disk) { writeFile(t, d, "x", "whole", true) }, nil, 2},
		{"its name, but not synced", func(d *Disk) {
			writeFile(t, d, "x", "0123456789abcdef0123456789abcdef", false)
			require.NoError(t, d.SyncDir())
		}, nil, 20},
		{"a renamed file", func(d *Disk) {
			writeFile(t, d, "old", "whole", true)
			require.NoError(t, d.SyncDir())
			require.NoError(t, d.Rename("old", "x"))
		}, nil, 2},
		{"a removed file may be back", func(d *Disk) {
			writeFile(t, d, "x", "whole", true)
			require.NoError(t, d.SyncDir())
			require.NoError(t, d.Remove("x"))
		}, nil, 2},
		{"an emptied file may be what it was", func(d *Disk) {
			writeFile(t, d, "x", "whole", true)
			require.NoError(t, d.SyncDir())
			writeFile(t, d, "x", "", false)
		}, nil, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			for seed := range uint64(200) {
				d := NewDisk()
				c.history(d)
				d.PowerLoss(rand.New(rand.NewPCG(seed, 0)))
				for name, text := range c.always {
					require.Equal(t, text, readFile(t, d, name))
				}
				if d.names["x"] == nil {
					seen["\x00"] = true
				} else {
					seen[readFile(t, d, "x")] = true
				}
			}
			assert.GreaterOrEqual(t, len(seen), c.outcomes)
			if c.outcomes == 1 {
				assert.Len(t, seen, 1)
			}
		})
	}
}

func TestDisk_killLosesNothing(t *testing.T) {
	d := NewDisk()
	f, err := d.Create("x")
	require.NoError(t, err)
	_, err = f.Write([]byte("not synced"))
	require.NoError(t, err)
	_, err = d.Lock("LOCK")
	require.NoError(t, err)
	_, err = d.Lock("LOCK")
	require.Error(t, err)
	d.Kill()
	assert.Equal(t, "not synced", readFile(t, d, "x"))
	_, err = f.Write([]byte("?"))
	require.ErrorIs(t, err, errDead, "a handle of the process that is no more")
	_, err = d.Lock("LOCK")
	require.NoError(t, err)
}

func TestDisk_failedSync(t *testing.T) {
	left := map[string]bool{}
	for seed := range uint64(50) {
		d := NewDisk()
		f, err := d.Create("x")
		require.NoError(t, err)
		require.NoError(t, d.SyncDir())
		_, err = f.Write([]byte("data"))
		require.NoError(t, err)
		d.Bad = 1
		require.ErrorIs(t, f.Sync(), syscall.EIO)
		require.NoError(t, f.Sync(), "the next one says nothing")
		assert.Equal(t, "data", readFile(t, d, "x"))
		d.PowerLoss(rand.New(rand.NewPCG(seed, 0)))
		left[readFile(t, d, "x")] = true
	}
	assert.True(t, left[""], "and has done nothing")
}

func TestDisk_killInTheMiddleOfAWrite(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		d := NewDisk()
		f, err := d.Create("x")
		require.NoError(t, err)
		d.Before = func(Op, string) { panic("killed") }
		require.Panics(t, func() { _, _ = f.Write([]byte("1234")) })
		d.Halt()
		d.Interrupt(rand.New(rand.NewPCG(seed, 0)))
		d.Kill()
		d.Before = func(Op, string) {}
		seen[readFile(t, d, "x")] = true
	}
	assert.Len(t, seen, 5, "any part of it: %v", seen)
}

func TestDisk_full(t *testing.T) {
	d := NewDisk()
	f, err := d.Create("x")
	require.NoError(t, err)
	d.Full = 2
	n, err := f.Write([]byte("12345678"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Equal(t, 4, n, "half of it")
	n, err = f.Write([]byte("5678"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Zero(t, n)
	_, err = f.Write([]byte("5678"))
	require.NoError(t, err)
	assert.Equal(t, "12345678", readFile(t, d, "x"))
}
