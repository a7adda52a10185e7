package pipeline

import (
	"time"

	"github.com/millrace/millrace/internal/graph"
)

// Counter counts. Metrics count attempts: what a failed try did is counted, too.
type Counter struct{ c *graph.Cell }

// Inc adds n. It costs about a nanosecond.
func (m Counter) Inc(n int64) { m.c.Add(n) }

// Distribution gathers count, sum, least and greatest of the values observed.
type Distribution struct{ c *graph.Cell }

// Observe adds a value.
func (m Distribution) Observe(v int64) { m.c.Observe(v) }

// Gauge is a value that is set; over the lanes the one set last counts.
type Gauge struct{ c *graph.Cell }

// Set sets the value.
func (m Gauge) Set(v int64) { m.c.Set(v, time.Now().UnixNano()) }

func (h *hooks) cell(kind graph.MetricKind, name string) *graph.Cell {
	if h.c == nil {
		return (*graph.Metrics)(nil).NewCell(kind, "", name)
	}
	return h.c.Run.Metrics.NewCell(kind, h.c.Node().Name, name)
}

// Counter makes a counter of this transform.
func (h *hooks) Counter(name string) Counter { return Counter{h.cell(graph.CounterKind, name)} }

// Distribution makes a distribution of this transform.
func (h *hooks) Distribution(name string) Distribution {
	return Distribution{h.cell(graph.DistributionKind, name)}
}

// Gauge makes a gauge of this transform.
func (h *hooks) Gauge(name string) Gauge { return Gauge{h.cell(graph.GaugeKind, name)} }
