package kafka

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the bytes of version 1, which snapshots hold.
func TestPosition_golden(t *testing.T) {
	id := topicID([]byte("0123456789abcdef"))
	for _, tc := range []struct {
		p    spot
		want string
	}{
		{spot{0, -1, -1}, "\x010123456789abcdef\x00\x00\x00"},
		{spot{300, 6, 0}, "\x010123456789abcdef\xac\x02\x07\x01"},
		{spot{math.MaxInt64, math.MaxInt32 - 1, math.MaxInt64 - 1}, "\x010123456789abcdef\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\x07\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
	} {
		assert.Equal(t, tc.want, string(tc.p.append(nil, id)))
		got, topic, err := readPosition([]byte(tc.want))
		require.NoError(t, err)
		assert.Equal(t, tc.p, got)
		assert.Equal(t, id, topic)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add(spot{300, 6, 0}.append(nil, topicID{1}))
	f.Add(append([]byte{2}, make([]byte, 19)...))
	f.Add(append([]byte{1}, append(make([]byte, 16), 0x80, 0, 0, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, topic, err := readPosition(b)
		if err != nil {
			return
		}
		if string(p.append(nil, topic)) != string(b) || p.next < 0 || p.epoch < -1 || p.end < -1 {
			t.Errorf("% x is read as %+v", b, p)
		}
	})
}
