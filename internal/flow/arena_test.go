package flow

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: what goes into an arena comes out of it, for sizes around those of its
// blocks, as the first value and as a later one.
func TestArena_sizesAroundItsBlocks(t *testing.T) {
	for _, block := range []int{blockFirst, 2 * blockFirst, blockBytes} {
		for size := block - 40; size <= block+40; size++ {
			for _, before := range []int{0, 1, 100} {
				a, c := arena{spare: &spare{}}, chain{}
				var want []byte
				for i := range before + 1 {
					n := 10
					if i == before {
						n = size
					}
					v := bytes.Repeat([]byte{byte(i)}, n)
					want = append(want, v...)
					a.add(&c, v)
				}
				var got []byte
				a.each(c, func(vs []byte, _ int) bool { got = append(got, vs...); return true })
				require.True(t, bytes.Equal(want, got), "size %d behind %d values", size, before)
			}
		}
	}
}
