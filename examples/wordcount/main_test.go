package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

func TestCount(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		lines := pipeline.Create(p, "To be, or not to be:", "", "that's the question -- TO be?")
		pipelinetest.EqualKeyed(t, Count(lines), map[string]int64{"to": 3, "be": 3, "or": 1, "not": 1, "that's": 1, "the": 1, "question": 1})
	})
}

// The book that comes with Go, against a plain loop.
func TestBook(t *testing.T) {
	p := pipeline.New()
	r := summarise(Count(text.Read(p, text.Sample())), 3)
	_, err := local.Run(t.Context(), p, local.Config{})
	require.NoError(t, err)
	var b bytes.Buffer
	r.print(&b, "the book", time.Second)
	lines := strings.Split(b.String(), "\n")
	require.Equal(t, "the     9825 "+strings.Repeat("█", 30), lines[0])
	require.Contains(t, b.String(), "99293 words, 4293 different, in the book; 1s")
}
