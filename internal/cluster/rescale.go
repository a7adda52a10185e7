package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Rescale lets so many workers have slots from now on, each as many as another or one more:
// slots move one by one. Those that are too many give away what they have; those that are
// missing are started by who starts workers, or join. What is on its way for another number, or
// as a worker has died, is done first. It fails, and changes nothing, if the job can't have so
// many, or does not run.
func (c *Crew) Rescale(workers int) error {
	most := min(len(c.roster.Slots), MaxWorkers)
	switch {
	case workers < 1:
		return fmt.Errorf("%d workers can do nothing: want 1 to %d", workers, most)
	case workers > most:
		return fmt.Errorf("%d workers are more than the job has slots (-slots, when it began), and some would have nothing to do: want 1 to %d", workers, most)
	case c.roster.Phase != Running:
		return fmt.Errorf("the job is %v: it can be rescaled while it is running", c.roster.Phase)
	case workers == c.wish:
		return nil
	}
	c.wish = workers
	c.note("the job is to have %s", count(workers, "worker"))
	c.arrange()
	return nil
}

// moving reports that slots are to move between the workers that are here, or do so.
func (c *Crew) moving() bool {
	p := c.places()
	return !p.even() || !c.quiet(p.slots)
}

// Shares are how large a share of the key groups each slot is to have, so that workers have
// equal ones though one has more slots than another; nil while nobody has asked for a number
// of workers, or slots are not where they are to be.
func (c *Crew) Shares() []int {
	if c.roster.Phase != Running || c.wish == 0 || c.missing() > 0 || c.moving() {
		return nil
	}
	slots, shares := map[string]int{}, []int{}
	for _, p := range c.roster.Slots {
		slots[p.Owner]++
	}
	all := 1 // that each number of slots divides: there are two, one more than the other
	for _, n := range slots {
		if all%n != 0 {
			all *= n
		}
	}
	for _, p := range c.roster.Slots {
		shares = append(shares, all/slots[p.Owner])
	}
	return shares
}

// missing is how many workers there are less than are wanted.
func (c *Crew) missing() int {
	return max(0, c.wish-len(divide(c.roster.Workers).workers))
}

// even reports that workers have all slots, each as many as another or one more, and others
// none.
func (p *places) even() bool {
	load := p.load()
	least, most := len(p.slots), 0
	for _, w := range p.workers {
		least, most = min(least, load[w.Worker]), max(most, load[w.Worker])
		delete(load, w.Worker)
	}
	return len(load) == 0 && most-least <= 1
}

// admit lets a worker that comes, or comes back, be a spare if all that are wanted are here.
func (c *Crew) admit(h *hand) {
	others := c.members(func(o *hand) bool { return o != h && !o.leaving && !o.Spare })
	if h.Spare = c.wish > 0 && len(others) >= c.wish; h.Spare {
		c.note("worker %d is a spare: %s", h.Number, c.enough(h))
	}
}

// enough says what becomes of a spare.
func (c *Crew) enough(h *hand) string {
	if h.Parent != "" {
		return "it is not needed, and ends"
	}
	return fmt.Sprintf("end it, or let it work by rescale %d", c.wish+1)
}

// share decides which workers are spares: as many as there are beyond those that are wanted.
// Who is one stays one as long as nobody is missing; who ends as one does not come back.
func (c *Crew) share() {
	if c.wish == 0 {
		return
	}
	var work, spare []*hand
	for _, h := range c.hands {
		switch {
		case !h.ready || h.lost || h.leaving, h.Spare && c.ends(h):
		case h.Spare:
			spare = append(spare, h)
		default:
			work = append(work, h)
		}
	}
	for n := len(work); n > c.wish; n-- {
		h := slices.MaxFunc(work, later)
		work = slices.DeleteFunc(work, func(o *hand) bool { return o == h })
		h.Spare = true
		c.note("worker %d gives away what it has, as a spare: %s", h.Number, c.enough(h))
	}
	for n := len(work); n < c.wish && len(spare) > 0; n++ {
		h := slices.MinFunc(spare, later)
		spare = slices.DeleteFunc(spare, func(o *hand) bool { return o == h })
		h.Spare = false
		c.note("worker %d is needed again", h.Number)
	}
}

// ends reports that a spare is about to end.
func (c *Crew) ends(h *hand) bool { return h.Parent != "" && !c.roster.owns(h.Worker) }

// later compares workers: those that were started come behind others, and else by number.
func later(a, b *hand) int {
	switch {
	case (a.Parent == "") == (b.Parent == ""):
		return cmp.Compare(a.Number, b.Number)
	case a.Parent == "":
		return -1
	}
	return 1
}

// Shares are those of the crew.
func (l *Leader) Shares() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crew.Shares()
}

// level reports that key groups are where they are to be, if slots are. l.mu is held.
func (l *Leader) level() bool {
	shares := l.crew.Shares()
	return l.cfg.Groups == nil || shares == nil || l.cfg.Groups.Level(shares)
}

// rescale carries out the command.
func (l *Leader) rescale(args []string) (s *Status, err error) {
	if len(args) != 1 {
		return nil, errors.New("want the number of workers")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, fmt.Errorf("%q is no number of workers", cut(args[0]))
	}
	l.do(func(c *Crew) { err = c.Rescale(n) })
	if err != nil {
		return nil, err
	}
	return l.Status(), nil
}
