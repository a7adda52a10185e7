package held

import "github.com/millrace/millrace/internal/held/plant"

// rest is how a leader brings a job to where nothing is under way between slots: to a cut
// whose records are all that the job is.
type rest uint8

const (
	awake   rest = iota
	tired        // sources rest; the next complete cut is looked at
	looking      // at a complete cut, behind which there is no other yet
	rested       // nothing was under way in it: sources go on, and there is no other cut until [Leader.Rest] says so
)

// sources reports that sources are to rest.
func (r rest) sources() bool { return r == tired || r == looking }

// holds reports that the last complete cut has to stay the last.
func (r rest) holds() bool { return r >= looking && !plant.Is(plant.RestIsNotHeld) }

// Rest brings the job to a cut in which nothing is under way: [Leader.Rested] says when
// that is complete. It is the last one, which nothing deletes, until Rest(false). What a
// leader knows of it ends with it.
func (l *Leader) Rest(yes bool) {
	if l.stopped || yes == (l.rest != awake) {
		return
	}
	if l.rest = awake; yes {
		l.rest, l.next = tired, l.now
	}
	l.tell()
}

// Rested is the cut that [Leader.Rest] has come to, and its records.
func (l *Leader) Rested() (cut Cut, at []Ident, yes bool) {
	return l.job.Cut, l.job.At, l.rest == rested
}

// look has a complete cut looked at.
func (l *Leader) look() {
	if l.rest != tired {
		return
	}
	if !l.job.Settled && !plant.Is(plant.MovingIsQuiet) {
		l.next = l.now + l.cfg.Tell
		return
	}
	l.rest = looking
	l.acts = append(l.acts, Look{l.job.Cut, l.job.At})
}

// Looked answers [Look]: quiet is what [Quiet] says of the records, as far as the driver
// knows of nothing else that is under way.
func (l *Leader) Looked(c Cut, quiet bool) {
	if l.stopped || l.rest != looking || c != l.job.Cut {
		return
	}
	if l.rest = rested; !quiet {
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
