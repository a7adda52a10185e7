package host

import (
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// Groups is where a leader asks how large a share of the key groups each slot is to have, and
// where it says how many each has.
type Groups struct {
	shares func() []int

	mu    sync.Mutex // guards what follows
	stay  bool       // groups never move
	has   []int      // by slot, in the newest assignment; nil: it is not known
	level []int      // the shares that slots have, with nothing on its way; nil: they don't
}

// NewGroups returns one whose leader asks shares again and again: one number for each slot, of
// which one at least is above zero. nil means that groups stay where they are.
func NewGroups(shares func() []int) *Groups { return &Groups{shares: shares} }

// Stay says that groups never move.
func (g *Groups) Stay() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stay = true
}

// Has is how many key groups each slot has, or is about to have; nil: it is not known.
func (g *Groups) Has() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.has
}

// Level reports that slots have such shares, and no group is on its way, or that groups never
// move.
func (g *Groups) Level(shares []int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stay || g.level != nil && slices.Equal(g.level, shares)
}

// levelEvery is how often shares are asked for.
const levelEvery = 50 * time.Millisecond

// levelling is what a leader levels key groups by.
type levelling struct {
	at      time.Duration // that shares were asked for
	shares  []int
	version held.Version // that owner was made of
	owner   []int        // that is wanted
}

// level wishes for an assignment by which slots have their shares, and says what is so.
func (l *leader) level() {
	g, v := l.cfg.Groups, &l.levelling
	if g == nil || l.now()-v.at < levelEvery {
		return
	}
	v.at = l.now()
	shares := g.shares()
	l.mu.Lock()
	defer l.mu.Unlock()
	job := l.core.Job()
	if job.Groups.Owner == nil {
		return
	}
	has := make([]int, l.cfg.Slots)
	for _, slot := range job.Groups.Owner {
		has[slot]++
	}
	var level []int
	if len(shares) == l.cfg.Slots {
		if v.owner == nil || v.version != job.Groups.Version || !slices.Equal(v.shares, shares) {
			v.version, v.shares, v.owner = job.Groups.Version, slices.Clone(shares), held.Spread(job.Groups.Owner, shares)
		}
		l.core.Assign(v.owner)
		if job.Settled && slices.Equal(v.owner, job.Groups.Owner) {
			level = v.shares
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.has, g.level = has, level
}

// moved is how many groups an assignment gives to another slot.
func moved(from, to []int) (n int) {
	for group := range min(len(from), len(to)) {
		if from[group] != to[group] {
			n++
		}
	}
	return n
}
