package schemas

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
)

// Goal: found is for good, not found for a while, and an outage for nothing.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		var err error
		c := NewCache(func(k int) (int, error) { loads++; return 2 * k, err })
		get := func(k, wantLoads int) error {
			t.Helper()
			before := loads
			v, err := c.Get(k)
			if err == nil {
				assert.Equal(t, 2*k, v)
			}
			assert.Equal(t, wantLoads, loads-before)
			return err
		}
		require.NoError(t, get(1, 1))
		err = errors.New("unknown")
		require.NoError(t, get(1, 0))
		require.Equal(t, err, get(2, 1))
		require.Equal(t, err, get(2, 0))
		time.Sleep(missFor + 1)
		err = &kafka.Outage{Err: err}
		require.Equal(t, err, get(2, 1))
		require.Equal(t, err, get(2, 1))
		err = nil
		require.NoError(t, get(2, 1))
		require.NoError(t, get(2, 0))
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.Get(2) }))

		err = errors.New("unknown")
		for k := range 3 * missMost {
			_ = get(10+k, 1)
		}
		assert.LessOrEqual(t, len(c.lost), missMost)
	})
}

func TestCache_manyAtOnce(t *testing.T) {
	var loads atomic.Int64
	c := NewCache(func(k int) (int, error) { loads.Add(1); return 2 * k, nil })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for k := range 100 {
				v, err := c.Get(k)
				assert.NoError(t, err)
				assert.Equal(t, 2*k, v)
			}
		})
	}
	wg.Wait()
	before := loads.Load()
	for k := range 100 {
		_, _ = c.Get(k)
	}
	assert.Equal(t, before, loads.Load(), "none was forgotten")
}
