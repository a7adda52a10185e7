package sim

import (
	"fmt"
	"strings"
)

// Counters say what a run, or many, went through.
type Counters struct {
	Faults             [Kinds][Points]int
	Epochs             int // committed
	Whole              int // epochs that held all rows
	Relaned            int // epochs that held all rows of lanes
	Refused            int // commits that failed
	Exits              int // of processes behind a failure
	Restarts           int // by the cycle
	Rescaled           int // processes with another number of lanes
	Flips              int // bytes
	FellBack           int // to the epoch before
	Unopened           int // stores that refused to open behind a flip
	Asides             int // reads beside a commit
	Waits              int // for room on the disk
	WaitsOver          int // that the end of the process has ended
	BytesMax, FilesMax int // on the disk
}

// Add adds what another run went through.
func (c *Counters) Add(o Counters) {
	for k := range c.Faults {
		for p := range c.Faults[k] {
			c.Faults[k][p] += o.Faults[k][p]
		}
	}
	c.Epochs += o.Epochs
	c.Whole += o.Whole
	c.Relaned += o.Relaned
	c.Refused += o.Refused
	c.Exits += o.Exits
	c.Restarts += o.Restarts
	c.Rescaled += o.Rescaled
	c.Flips += o.Flips
	c.FellBack += o.FellBack
	c.Unopened += o.Unopened
	c.Asides += o.Asides
	c.Waits += o.Waits
	c.WaitsOver += o.WaitsOver
	c.BytesMax, c.FilesMax = max(c.BytesMax, o.BytesMax), max(c.FilesMax, o.FilesMax)
}

// Crashes is how many processes have died at a point.
func (c *Counters) Crashes(p Point) int {
	return c.Faults[PowerLoss][p] + c.Faults[Kill][p] + c.Faults[Flip][p]
}

// String is a table of faults by point, and the rest.
func (c Counters) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s", "")
	for k := range Kinds {
		fmt.Fprintf(&b, "%12v", k)
	}
	for p := range Points {
		fmt.Fprintf(&b, "\n%-20v", p)
		for k := range Kinds {
			fmt.Fprintf(&b, "%12d", c.Faults[k][p])
		}
	}
	fmt.Fprintf(&b, "\nepochs %d, whole %d, of other lanes %d, refused %d; exits %d, restarts %d, rescaled %d; bytes flipped %d: fell back %d, not opened %d; reads aside %d, waits for room %d, given up %d; at most %d bytes in %d files\n",
		c.Epochs, c.Whole, c.Relaned, c.Refused, c.Exits, c.Restarts, c.Rescaled, c.Flips, c.FellBack, c.Unopened, c.Asides, c.Waits, c.WaitsOver, c.BytesMax, c.FilesMax)
	return b.String()
}
