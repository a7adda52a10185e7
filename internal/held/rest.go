package held

import "github.com/millrace/millrace/internal/held/plant"

// rest is how a leader brings a job to where nothing is under way between slots: to a cut
// whose records are all that the job is.
type rest uint8

const (
	awake   rest = iota
	tired        // sources rest; the next complete cut is looked at
	looking      // at a complete cut, behind which there is no other yet
	rested       // nothing was under way in it: there is no other cut as long as that is wished for
)

// sources reports that sources are to rest.
func (l *Leader) sources() bool {
	return l.drain && !plant.Is(plant.DrainedWakes) || l.rest == tired || l.rest == looking
}

// holds reports that the last complete cut has to stay the last.
func (r rest) holds() bool { return r >= looking && !plant.Is(plant.RestIsNotHeld) }

// Rest brings the job to a cut in which nothing is under way: [Leader.Rested] says when
// that is complete. It is the last one, which nothing deletes, until Rest(false), and sources
// go on behind it. What a leader knows of it ends with it.
func (l *Leader) Rest(yes bool) { l.wishes(&l.save, yes) }

// Drain brings the job to a cut in which nothing is under way and nothing waits to be shown,
// and behind which nothing is read: [Leader.Drained] says when that is complete. Sources rest
// and it is the last one until Drain(false). What a leader knows of it ends with it; the
// driver tells the next one, before it tells anything to slots.
func (l *Leader) Drain(yes bool) {
	if yes && !l.drain {
		l.before = max(l.asked, l.latest().Cut)
	}
	l.wishes(&l.drain, yes)
}

// wishes notes that wish is so from now on, and what comes of that.
func (l *Leader) wishes(wish *bool, yes bool) {
	if l.stopped || *wish == yes {
		return
	}
	*wish = yes
	switch {
	case !l.save && !l.drain:
		l.rest = awake
	case l.rest == awake, l.rest == rested && !l.save && !l.shown:
		l.rest, l.next = tired, l.now
	}
	l.tell()
}

// Rested is the cut that [Leader.Rest] has come to, and its records.
func (l *Leader) Rested() (cut Cut, at []Ident, yes bool) {
	return l.job.Cut, l.job.At, l.save && l.rest == rested
}

// Drained is the cut that [Leader.Drain] has come to, and its records.
func (l *Leader) Drained() (cut Cut, at []Ident, yes bool) {
	return l.job.Cut, l.job.At, l.drain && l.shown && l.rest == rested
}

// look has a complete cut looked at.
func (l *Leader) look() {
	if l.rest != tired {
		return
	}
	if !l.job.Settled && !plant.Is(plant.MovingIsQuiet) || l.drain && l.job.Cut <= l.before && !plant.Is(plant.DrainedByOldCut) {
		l.next = l.now + l.cfg.Tell
		return
	}
	l.rest = looking
	l.acts = append(l.acts, Look{l.job.Cut, l.job.At, l.first})
}

// Looked answers [Look]: quiet and shown are what [Quiet] and [Shown] say of the records, as
// far as the driver knows of nothing else that is under way.
func (l *Leader) Looked(c Cut, quiet, shown bool) {
	if l.stopped || l.rest != looking || c != l.job.Cut {
		return
	}
	l.shown = quiet && shown
	if l.rest = rested; !quiet || l.drain && !shown {
		l.rest, l.next = tired, l.now+l.cfg.Tell
	}
	l.tell()
}

// Quiet reports that nothing is under way between the slots whose records of a cut these
// are; nil is that of a slot that has committed nothing.
func Quiet(records []*Record) bool {
	for i, src := range records {
		for k, dst := range records {
			if i != k && src != nil && !plant.Is(plant.NeverUnderWay) && k < len(src.Last) && src.Last[k] > ended(dst.applied(i)) {
				return false
			}
		}
	}
	return true
}

// Shown reports that the slots whose records of a cut these are have shown all outputs that
// they had, and that behind the cut their sources rest, by the word of a leader that began with
// version since of the job record, or behind it: what rests by the word of one before may have
// been woken by it. Of a slot that is in the cut with its last record only, nobody knows that.
func Shown(c Cut, since uint64, records []*Record) bool {
	for _, r := range records {
		switch {
		case r == nil || r.Tag.Cut != c:
			return false
		case !r.rests(since) && !plant.Is(plant.DrainedAwake), r.Unshown && !plant.Is(plant.DrainedUnshown):
			return false
		}
	}
	return true
}

// rests reports that sources rest behind r by the word of a leader that is not older than since.
func (r *Record) rests(since uint64) bool {
	return r.Rests && (r.Word >= since || plant.Is(plant.RestsByOldWord))
}
