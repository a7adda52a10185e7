package cluster

import "slices"

// places are the slots of a job, and who may have them. It is pure: same facts, same
// places.
type places struct {
	slots    []Place
	workers  []Member                           // who may have slots, by number
	spares   []Member                           // who gives away those that it has, by number
	standbys int                                // for each slot, as far as there are workers
	warm     func(worker string, slot int) bool // of a standby: it has caught up
	heir     struct {                           // who gets the slot when it is warm, and stands by it until then; "": nobody
		slot   int
		worker string
	}
}

// divide begins with workers and spares.
func divide(members []Member) (p places) {
	for _, m := range members {
		if m.Spare {
			p.spares = append(p.spares, m)
		} else {
			p.workers = append(p.workers, m)
		}
	}
	return p
}

// load is how many slots each worker has.
func (p *places) load() map[string]int {
	load := map[string]int{}
	for _, s := range p.slots {
		load[s.Owner]++
	}
	return load
}

// fill gives each slot that has no owner to one of its standbys, a warm one if there is
// one, else to the worker that has the fewest.
func (p *places) fill() (given []int) {
	load := p.load()
	for i := range p.slots {
		s := &p.slots[i]
		if p.member(s.Owner) != nil || p.spare(s.Owner) {
			continue
		}
		owner := ""
		for _, w := range s.Standbys {
			if p.member(w) != nil && (owner == "" || p.warm(w, i) && !p.warm(owner, i)) {
				owner = w
			}
		}
		if owner == "" {
			owner = p.least(load, func(Member) bool { return true })
		}
		if owner != "" {
			given = append(given, i)
			load[owner]++
		}
		s.Owner = owner
	}
	return given
}

// level moves one slot from a spare, or else from the worker with the most, to one with the
// fewest, if that makes a difference: to one that stands by the slot and is warm. If there is
// none, one stands by until it is. Where slots are on their way (quiet is false) nothing moves,
// and nobody begins to.
func (p *places) level(quiet bool) (moved int, ok bool) {
	slot, to, ok := p.next()
	if !ok {
		return 0, false
	}
	s, near := &p.slots[slot], p.near(to, slot)
	switch {
	case quiet && near == atHand:
		s.Owner = to
		return slot, true
	case quiet && near == far:
		s.Standbys = append([]string{to}, s.Standbys...)
	}
	p.heir.slot, p.heir.worker = slot, to
	return 0, false
}

// next is the slot that is to move, and to whom.
func (p *places) next() (slot int, to string, ok bool) {
	load := p.load()
	to, most := p.least(load, func(Member) bool { return true }), p.most(load)
	if to == "" || most == "" || !p.spare(most) && load[most]-load[to] < 2 {
		return 0, "", false
	}
	fewest, best := load[to], far-1
	for i, s := range p.slots {
		for _, w := range p.workers {
			if near := p.near(w.Worker, i); s.Owner == most && load[w.Worker] == fewest && near > best {
				slot, to, best = i, w.Worker, near
			}
		}
	}
	return slot, to, true
}

// nearness is how much of a slot a worker has.
type nearness int

const (
	far     nearness = iota
	reading          // it stands by
	atHand           // and could take it over at once
)

func (p *places) near(worker string, slot int) nearness {
	switch {
	case !slices.Contains(p.slots[slot].Standbys, worker):
		return far
	case !p.warm(worker, slot):
		return reading
	}
	return atHand
}

// most is who is to give away a slot, if anybody: the spare of the highest number that has
// any, or else the worker that has the most.
func (p *places) most(load map[string]int) (most string) {
	for _, w := range slices.Backward(p.spares) {
		if load[w.Worker] > 0 {
			return w.Worker
		}
	}
	for _, w := range p.workers {
		if most == "" || load[w.Worker] > load[most] {
			most = w.Worker
		}
	}
	return most
}

// stand names standbys: who is one stays one, beside those that are wanted also while it is
// not warm, and so does the heir; a new one is on another host, if there is one, and has few
// of these duties.
func (p *places) stand() {
	duties := map[string]int{}
	for i := range p.slots {
		s := &p.slots[i]
		var keep []string
		extra := 0
		for _, w := range s.Standbys {
			heir := p.heir.worker == w && p.heir.slot == i
			if w == s.Owner || p.member(w) == nil || !heir && len(keep)-min(extra, 1) >= p.standbys {
				continue
			}
			keep = append(keep, w)
			duties[w]++
			if heir || !p.warm(w, i) {
				extra++
			}
		}
		s.Standbys = keep
	}
	for i := range p.slots {
		s := &p.slots[i]
		host, known := p.host(s.Owner)
		for known && len(s.Standbys) < p.standbys {
			free := func(m Member) bool { return m.Worker != s.Owner && !slices.Contains(s.Standbys, m.Worker) }
			w := p.least(duties, func(m Member) bool { return free(m) && m.Host != host })
			if w == "" {
				w = p.least(duties, free)
			}
			if w == "" {
				break
			}
			s.Standbys = append(s.Standbys, w)
			duties[w]++
		}
	}
}

// least is the worker with the least load among some, the one of the lowest number; "" if
// there is none.
func (p *places) least(load map[string]int, may func(Member) bool) (least string) {
	for _, w := range p.workers {
		if may(w) && (least == "" || load[w.Worker] < load[least]) {
			least = w.Worker
		}
	}
	return least
}

// host is where a worker or a spare is.
func (p *places) host(worker string) (host string, known bool) {
	for _, m := range slices.Concat(p.workers, p.spares) {
		if m.Worker == worker {
			return m.Host, true
		}
	}
	return "", false
}

// spare reports that a worker is here, and is to have no slots.
func (p *places) spare(worker string) bool {
	return slices.ContainsFunc(p.spares, func(m Member) bool { return m.Worker == worker })
}

// member is a worker that may have slots, nil if it is none.
func (p *places) member(worker string) *Member {
	for i := range p.workers {
		if p.workers[i].Worker == worker {
			return &p.workers[i]
		}
	}
	return nil
}
