package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Explanation is what a slot waits for.
type Explanation struct {
	Slot   int    `json:"slot"`
	Worker int    `json:"worker"` // number of its owner; 0: nobody has it
	Text   string `json:"text"`   // for people, lines

	Protocol string `json:"protocol,omitempty"` // where the slot's protocol is, for who knows it
}

// explainMost is how long an explanation is waited for.
const explainMost = 4 * time.Second

// explain asks workers what their slots wait for, all at once, and says of the other slots
// why they can't be asked. The list is by slot.
func (l *Leader) explain(ctx context.Context) []Explanation {
	ctx, cancel := context.WithTimeout(ctx, explainMost)
	defer cancel()
	r := l.Roster()
	list := make([]Explanation, len(r.Slots))
	for i := range list {
		list[i] = Explanation{Slot: i, Text: l.missing(r)}
	}
	var mu sync.Mutex // guards list
	var all sync.WaitGroup
	for _, m := range r.Workers {
		all.Go(func() {
			var found []Explanation
			err := l.wire.command(ctx, serviceOf(m.Worker), &found, &Command{Name: "explain"})
			mu.Lock()
			defer mu.Unlock()
			for i, p := range r.Slots {
				if p.Owner == m.Worker {
					list[i].Worker, list[i].Text = m.Number, "Its worker has only just got it."
				}
				if p.Owner == m.Worker && err != nil {
					list[i].Text = fmt.Sprintf("Its worker does not answer: %v.", err)
				}
			}
			for _, e := range found {
				if e.Slot >= 0 && e.Slot < len(list) && r.Slots[e.Slot].Owner == m.Worker {
					list[e.Slot].Text, list[e.Slot].Protocol = e.Text, e.Protocol
				}
			}
		})
	}
	all.Wait()
	return list
}

// missing says why a slot has no worker.
func (l *Leader) missing(r *Roster) string {
	if r.Phase == Gathering {
		return fmt.Sprintf("The job waits for workers: %d of %d are here.", len(r.Workers), l.cfg.Crew.Wait)
	}
	return "It has no worker."
}
