package local

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// Goal: -progress=on tells elements, rate, stages and share read, whatever out is.
// Method: a source that stands still until the line has been written.
func TestFlags_progressOn(t *testing.T) {
	seen := make(chan struct{})
	out := &watched{seen: seen, want: "elements"}
	p := pipeline.New()
	pipeline.Collect(pipeline.Map(pipeline.Generate(p, 1000, func(i uint64, e *uint64) {
		if *e = i; i == 900 {
			<-seen
		}
	}), func(v uint64) uint64 { return v }))
	f := &flags{progress: "on", onError: "stop", parallelism: 2}
	require.NoError(t, f.run(t.Context(), p, out))
	text := out.String()
	last := text[strings.LastIndex(text, "\r\x1b[K"):]
	require.Regexp(t, `^\r\x1b\[K1k elements, \S+/s, stages 1/1 done, 100% read\n$`, last)
}

// watched closes seen when want has been written.
type watched struct {
	mu   sync.Mutex // guards buf and seen
	buf  bytes.Buffer
	want string
	seen chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if w.seen != nil && strings.Contains(w.buf.String(), w.want) {
		close(w.seen)
		w.seen = nil
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "17": 17, "17B": 17, "1KiB": 1024, "1kb": 1000, "512MiB": 512 << 20, "1.5GiB": 3 << 29, "4GB": 4e9, "2mib": 2 << 20,
	} {
		got, err := parseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"lots", "-1", "-1GiB", "1TiB", "1 GiB GiB", "GiB", "NaN", "Inf", "+Inf", "1e30GiB", "9223372036854775808", "1KK"} {
		_, err := parseBytes(text)
		require.ErrorContains(t, err, "want a size such as 512MiB or 4GiB", text)
	}
	most, err := parseBytes("8589934591GiB")
	require.NoError(t, err)
	require.LessOrEqual(t, most, int64(math.MaxInt64))
	require.Positive(t, most)
}
