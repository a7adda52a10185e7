package kafka

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the bytes of version 1, which snapshots hold.
func TestPosition_golden(t *testing.T) {
	for _, tc := range []struct {
		p    spot
		want string
	}{
		{spot{0, -1, -1}, "\x01\x00\x00\x00"},
		{spot{300, 6, 0}, "\x01\xac\x02\x07\x01"},
		{spot{math.MaxInt64, math.MaxInt32 - 1, math.MaxInt64 - 1}, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\x07\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
	} {
		assert.Equal(t, tc.want, string(tc.p.append(nil)))
		got, err := readPosition([]byte(tc.want))
		require.NoError(t, err)
		assert.Equal(t, tc.p, got)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add(spot{300, 6, 0}.append(nil))
	f.Add([]byte{2, 0, 0, 0})
	f.Add([]byte{1, 0x80, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPosition(b)
		if err != nil {
			return
		}
		if string(p.append(nil)) != string(b) || p.next < 0 || p.epoch < -1 || p.end < -1 {
			t.Errorf("% x is read as %+v", b, p)
		}
	})
}
