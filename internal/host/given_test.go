package host

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
)

// Goal: what is taken out is read as it was written, also in a later version; a damaged object
// is refused.
func TestGiven(t *testing.T) {
	rows := map[int][]byte{3: []byte("three"), 700: []byte("rows"), 5: nil}
	b := appendGiven([]int{3, 5, 700}, rows)
	require.Equal(t, "010305"+hex.EncodeToString([]byte("three"))+"bc0504"+hex.EncodeToString([]byte("rows"))+"b4471f63", hex.EncodeToString(b))
	got, err := readGiven(b)
	require.NoError(t, err)
	require.Equal(t, map[int][]byte{3: []byte("three"), 700: []byte("rows")}, got)
	for i := range b {
		for _, bad := range [][]byte{b[:i], append(append([]byte{}, b[:i]...), append([]byte{b[i] ^ 0x10}, b[i+1:]...)...)} {
			_, err := readGiven(bad)
			require.ErrorIs(t, err, errGiven)
		}
	}
}

// Goal: the name of an object says what it is, and nothing else is taken for one.
func TestGivenName(t *testing.T) {
	name := givenName(7, 2, 1<<32|5, 40, 1)
	v, ok := givenOf(name)
	require.True(t, ok)
	require.Equal(t, held.Version(7), v)
	for _, name := range []string{"groups/7", "groups/7/2/5-40/1/0", "groups/07/2/5-40/1", "records/7/2-5-40"} {
		_, ok := givenOf(name)
		require.False(t, ok, name)
	}
}

func FuzzReadGiven(f *testing.F) {
	f.Add(appendGiven([]int{3, 700}, map[int][]byte{3: []byte("three"), 700: []byte("rows")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := readGiven(b)
		if err != nil {
			require.ErrorIs(t, err, errGiven)
		}
		n := 0
		for _, r := range rows {
			n += len(r)
		}
		require.LessOrEqual(t, n, len(b))
	})
}
