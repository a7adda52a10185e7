package local

import (
	"bytes"
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
