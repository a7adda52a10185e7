package engine

import "github.com/millrace/millrace/internal/commit"

// rowStore is the rows of one operator that are this lane's.
type rowStore struct {
	pages commit.Pages
	node  string
	lane  *lane
}

func (r *rowStore) Get(group int, key, buf []byte) ([]byte, bool, error) {
	return r.pages.Get(r.node, group, key, buf)
}

func (r *rowStore) Scan(group int, prefix []byte, f func(key, val []byte) error) error {
	return r.pages.Scan(r.node, group, prefix, f)
}

func (r *rowStore) Groups() (own []int) {
	for g, lane := range r.lane.inc.run.Owner {
		if int(lane) == r.lane.c.Lane {
			own = append(own, g)
		}
	}
	return own
}

// Budget is an equal share of what all may hold.
func (r *rowStore) Budget() int64 {
	inc := r.lane.inc
	return inc.cfg.StateMemory / int64(len(inc.lanes)*max(inc.plan.keeps, 1))
}
