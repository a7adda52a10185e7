package main

import (
	"testing"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
)

func TestJoin(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		totals, unknown := join(csv.Read[customer](p, "testdata/customers.csv"), csv.Read[order](p, "testdata/orders.csv"))
		pipelinetest.Equal(t, totals, total{"Norway", 3, 2241}, total{"Chile", 1, 20000})
		pipelinetest.Equal(t, unknown, order{"A4", 7, 100})
	})
}
