package sim

import (
	"fmt"
	"strings"
	"time"
)

// Counters say what a run, or many, went through.
type Counters struct {
	Faults    [Kinds]int
	Takeovers int // begun
	Promoted  int // of standbys
	Standbys  int // begun
	FromCut   int // that began behind a cut
	Leaders   int
	Epochs    int // cut
	Tags      int
	Voids     int
	Cuts      int // complete
	Fetched   int // cuts that waited only for silent slots
	Rested    int // cuts at which nothing was under way, for savepoints
	Drained   int // cuts at which a job could stop
	Silent    int // cuts with the last record of a silent slot
	Rollbacks int
	Replays   int
	Copies    int
	Resent    int // epochs
	Peeks     int
	Mourned   int // times that a process was told of the end of another
	Doomed    int // times that the last process died
	Assigned  int // assignments of key groups
	Turns     int // of slots to an assignment
	Given     int // key groups that were taken out
	Adopted   int
	Replayed  int           // elements that were parked
	ParkedMax int           // bytes
	OutboxMax int           // bytes
	KeptMax   int           // bytes
	AheadMax  int           // bytes
	Replaced  int           // acceptors
	GivenUp   int           // puts
	Lost      int           // messages
	HeldMax   int           // bytes of one source in one class
	Healed    time.Duration // from the end of faults to the end of the run
}

// Add adds what another run went through.
func (c *Counters) Add(o Counters) {
	for k := range c.Faults {
		c.Faults[k] += o.Faults[k]
	}
	c.Takeovers += o.Takeovers
	c.Promoted += o.Promoted
	c.Standbys += o.Standbys
	c.FromCut += o.FromCut
	c.Leaders += o.Leaders
	c.Epochs += o.Epochs
	c.Tags += o.Tags
	c.Voids += o.Voids
	c.Cuts += o.Cuts
	c.Fetched += o.Fetched
	c.Silent += o.Silent
	c.Rested += o.Rested
	c.Drained += o.Drained
	c.Rollbacks += o.Rollbacks
	c.Replays += o.Replays
	c.Copies += o.Copies
	c.Resent += o.Resent
	c.Peeks += o.Peeks
	c.Mourned += o.Mourned
	c.Doomed += o.Doomed
	c.Assigned += o.Assigned
	c.Turns += o.Turns
	c.Given += o.Given
	c.Adopted += o.Adopted
	c.Replayed += o.Replayed
	c.ParkedMax = max(c.ParkedMax, o.ParkedMax)
	c.OutboxMax = max(c.OutboxMax, o.OutboxMax)
	c.KeptMax = max(c.KeptMax, o.KeptMax)
	c.AheadMax = max(c.AheadMax, o.AheadMax)
	c.Replaced += o.Replaced
	c.GivenUp += o.GivenUp
	c.Lost += o.Lost
	c.HeldMax = max(c.HeldMax, o.HeldMax)
	c.Healed += o.Healed
}

func (c Counters) String() string {
	var b strings.Builder
	for k := range Kinds {
		fmt.Fprintf(&b, "%v %d, ", k, c.Faults[k])
	}
	fmt.Fprintf(&b, "messages lost %d\ntakeovers %d, %d of %d standbys, %d behind a cut; leaders %d; epochs %d, sent again %d, copied %d; tags %d, void %d; cuts %d, with the last record of a silent slot %d of %d tried, at rest %d, drained %d, rollbacks %d; registers read %d; ends told %d, nobody left %d times; assignments %d, followed %d times, groups given %d, adopted %d, elements replayed %d, parked at most %d bytes; outbox at most %d bytes, kept %d, ahead %d; acceptors replaced %d, puts given up %d; held at most %d bytes of a source and class; healing took %v",
		c.Lost, c.Takeovers, c.Promoted, c.Standbys, c.FromCut, c.Leaders, c.Epochs, c.Resent, c.Copies, c.Tags, c.Voids, c.Cuts, c.Silent, c.Fetched, c.Rested, c.Drained, c.Rollbacks, c.Peeks, c.Mourned, c.Doomed, c.Assigned, c.Turns, c.Given, c.Adopted, c.Replayed, c.ParkedMax, c.OutboxMax, c.KeptMax, c.AheadMax, c.Replaced, c.GivenUp, c.HeldMax, c.Healed)
	return b.String()
}
