package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		lines := pipeline.Create(p,
			`192.0.2.1 - ann [24/Nov/2026:10:00:01 +0100] "GET /x?y=1 HTTP/1.1" 404 12`,
			`192.0.2.1 - ann [when?] "GET / HTTP/1.1" 200 12`,
			`nonsense`)
		pages := pipeline.Map(pipeline.ParDo(lines, parse), func(r request) string { return r.At.UTC().Format("15:04 ") + r.Page })
		pipelinetest.Equal(t, pages, "09:00 /x?y=1")
	})
}

func TestReport(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		p := pipeline.New()
		r := analyse(text.Read(p, "testdata/access.log"), 3)
		res, err := local.Run(t.Context(), p, local.Config{Parallelism: lanes})
		require.NoError(t, err)
		require.Equal(t, int64(1), res.Counter("bad lines"))
		var b bytes.Buffer
		r.print(&b)
		want, err := os.ReadFile("testdata/report.txt")
		require.NoError(t, err)
		require.Equal(t, string(want), b.String())
	}
}
