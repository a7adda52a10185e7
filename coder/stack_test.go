package coder_test

import (
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/stretchr/testify/require"
)

type moved struct {
	A, B, C string
	N       []int64
	M       map[string]string
}

// Goal: what is encoded and decoded survives a stack that moves meanwhile. Method:
// goroutines with fresh, small stacks, at every depth around the sizes at which
// they grow. (Codecs were once given pointers to the stack that the compiler did
// not know of; a shuffled element then came out empty, once in a hundred runs.)
func TestCoder_movingStacks(t *testing.T) {
	c, err := coder.For[moved]()
	require.NoError(t, err)
	want := moved{"a", "b", "c", []int64{1, 2, 3}, map[string]string{"k": "v"}}
	done := make(chan moved)
	for depth := range 400 {
		go func() {
			v, _, err := at(depth, func() (moved, []byte, error) { return c.Decode(c.Append(nil, want)) })
			if err != nil {
				v = moved{}
			}
			done <- v
		}()
		require.Equal(t, want, <-done, "depth %d", depth)
	}
}

// at calls f with depth more frames on the stack.
//
//go:noinline
func at(depth int, f func() (moved, []byte, error)) (moved, []byte, error) {
	var pad [64]byte
	if depth == 0 {
		return f()
	}
	v, b, err := at(depth-1, f)
	pad[depth%64] = byte(depth)
	if pad[0] > 250 {
		v.A = "?"
	}
	return v, b, err
}
