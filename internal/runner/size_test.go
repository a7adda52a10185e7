package runner

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "17": 17, "17B": 17, "1KiB": 1024, "1kb": 1000, "512MiB": 512 << 20, "1.5GiB": 3 << 29, "4GB": 4e9, "2mib": 2 << 20,
	} {
		got, err := ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"lots", "-1", "-1GiB", "1TiB", "1 GiB GiB", "GiB", "NaN", "Inf", "+Inf", "1e30GiB", "9223372036854775808", "1KK"} {
		_, err := ParseBytes(text)
		require.ErrorContains(t, err, "want a size such as 512MiB or 4GiB", text)
	}
	most, err := ParseBytes("8589934591GiB")
	require.NoError(t, err)
	require.LessOrEqual(t, most, int64(math.MaxInt64))
	require.Positive(t, most)
}
