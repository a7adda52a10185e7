package graph

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Metrics is what a run counts. Cells belong to one lane and are read by anybody.
// Counts are of attempts: an epoch that is rolled back has been counted.
type Metrics struct {
	mu    sync.Mutex // guards cells
	cells []*Cell
}

// MetricKind says how the cells of one metric are put together.
type MetricKind uint8

const (
	CounterKind      MetricKind = iota // sum
	DistributionKind                   // count, sum, min, max
	GaugeKind                          // the value set last
)

// Cell is one metric on one lane. Its methods may be called by its lane only;
// reading is safe for all.
type Cell struct {
	Kind       MetricKind
	Node, Name string

	count, sum, min, max atomic.Int64
	stamp                atomic.Int64
}

// NewCell makes a cell; nil receivers give a cell that nobody reads.
func (m *Metrics) NewCell(kind MetricKind, node, name string) *Cell {
	c := &Cell{Kind: kind, Node: node, Name: name}
	c.min.Store(math.MaxInt64)
	c.max.Store(math.MinInt64)
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cells = append(m.cells, c)
	}
	return c
}

// Add adds n to a counter.
func (c *Cell) Add(n int64) { c.sum.Store(c.sum.Load() + n) }

// Observe adds one value to a distribution.
func (c *Cell) Observe(v int64) {
	c.count.Store(c.count.Load() + 1)
	c.sum.Store(c.sum.Load() + v)
	c.min.Store(min(c.min.Load(), v))
	c.max.Store(max(c.max.Load(), v))
}

// Set sets a gauge. stamp orders sets of different lanes (Unix ns).
func (c *Cell) Set(v, stamp int64) { c.sum.Store(v); c.stamp.Store(stamp) }

// Metric is one metric, put together over lanes.
type Metric struct {
	Kind       MetricKind
	Node, Name string
	Count      int64 // distributions: observations
	Sum        int64 // counters: the count; gauges: the value
	Min, Max   int64 // distributions
}

// Snapshot reads all metrics, sorted by node and name.
func (m *Metrics) Snapshot() []Metric {
	m.mu.Lock()
	cells := slices.Clone(m.cells)
	m.mu.Unlock()
	type id struct{ node, name string }
	at := map[id]int{}
	stamp := map[id]int64{}
	var out []Metric
	for _, c := range cells {
		k := id{c.Node, c.Name}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Metric{Kind: c.Kind, Node: c.Node, Name: c.Name, Min: math.MaxInt64, Max: math.MinInt64})
		}
		x := &out[i]
		if c.Kind == GaugeKind {
			if s := c.stamp.Load(); s >= stamp[k] {
				x.Sum, stamp[k] = c.sum.Load(), s
			}
			continue
		}
		x.Count += c.count.Load()
		x.Sum += c.sum.Load()
		x.Min, x.Max = min(x.Min, c.min.Load()), max(x.Max, c.max.Load())
	}
	slices.SortFunc(out, func(a, b Metric) int {
		if d := strings.Compare(a.Node, b.Node); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
