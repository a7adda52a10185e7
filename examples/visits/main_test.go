package main

import (
	"testing"
	"time"

	"github.com/millrace/millrace/io/json"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
)

func TestVisits(t *testing.T) {
	at := func(clock string) time.Time {
		x, err := time.Parse(time.RFC3339, "2026-11-24T"+clock+":00Z")
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		pipelinetest.Equal(t, visits(json.Read[view](p, "testdata/views.json")),
			visit{"ann", at("10:00"), at("10:20"), 3},
			visit{"ann", at("11:30"), at("11:30"), 1},
			visit{"bo", at("10:01"), at("10:01"), 1},
			visit{"bo", at("10:31"), at("10:31"), 1})
	})
}
