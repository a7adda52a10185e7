package schemas

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: Confluent's bytes.
func TestWire_bytes(t *testing.T) {
	assert.Equal(t, []byte{0, 0x12, 0x34, 0x56, 0x78, 'x'}, append(AppendID(nil, 0x12345678), 'x'))
	assert.Equal(t, []byte{0}, AppendPath(nil, []int{0}))
	assert.Equal(t, []byte{2, 2}, AppendPath(nil, []int{1}))
	assert.Equal(t, []byte{4, 0, 0x80, 2}, AppendPath(nil, []int{0, 128}))
	path, rest, err := CutPath([]byte{2, 0, 'x'})
	require.NoError(t, err)
	assert.Equal(t, []int{0}, path, "the long form of one zero byte")
	assert.Equal(t, []byte("x"), rest)
	for _, bad := range [][]byte{{}, {2}, {1}, {0x80}, {2, 1}, {0xff, 0xff, 0xff, 0xff, 0x0f}} {
		_, _, err := CutPath(bad)
		assert.EqualError(t, err, "the value's message indexes are damaged", "%x", bad)
	}
}

func FuzzWire(f *testing.F) {
	f.Add(AppendPath(AppendID(nil, 7), []int{1, 2, 300}))
	f.Add([]byte{0, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		id, rest, err := CutID(value)
		if err != nil {
			return
		}
		require.Equal(t, value, append(AppendID(nil, id), rest...))
		path, rest, err := CutPath(rest)
		if err != nil {
			return
		}
		again, left, err := CutPath(append(AppendPath(nil, path), rest...))
		require.NoError(t, err)
		require.True(t, slices.Equal(path, again))
		require.Equal(t, rest, left)
	})
}
