package frame_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/frame"
)

// Goal: memory is given again when all who hold it have put it back, and not before.
func TestPool(t *testing.T) {
	var p frame.Pool
	b := p.Get(30_000)
	require.Len(t, b, 30_000)
	p.Hold(b)
	p.Hold(b)
	for range 3 {
		require.NotSame(t, &b[0], &p.Get(0)[:1][0], "somebody holds it")
		p.Put(b)
	}
	again := p.Get(9_000)
	require.Len(t, again, 9_000)
	require.Same(t, &b[0], &again[0])
	require.NotSame(t, &b[0], &p.Get(9_000)[0], "it was given already")

	p.Put(again)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b := p.Get(20_000)
		p.Hold(b)
		p.Put(b)
		p.Put(b)
	}))
}

// Goal: frames that are longer or much shorter than most have memory of their own size, which
// is not kept.
func TestPool_sizes(t *testing.T) {
	var p frame.Pool
	for _, n := range []int{1, 100, 4 << 10, 1 << 20} {
		b := p.Get(n)
		require.Len(t, b, n)
		require.Equal(t, n, cap(b))
		p.Hold(b)
		p.Put(b)
		p.Put(b)
		require.NotSame(t, &b[0], &p.Get(n)[0])
	}
	b := p.Get(0)
	require.Empty(t, b)
	require.GreaterOrEqual(t, cap(b), 40<<10)
	p.Put(append(b, make([]byte, 1<<20)...)) // it has outgrown what was got
	require.NotSame(t, &b[:1][0], &p.Get(0)[:1][0])
}
