package chaos

import (
	"time"

	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/pipeline"
)

// event is element N of the input: all else follows from it.
type event struct {
	N    uint64
	At   int64 // event time, Unix ms
	User uint64
	Cost int64
}

const (
	splits     = 4
	users      = 40
	disorderMs = 20 // at most that an event is behind its number
)

// eventOf makes event n. All events of a user come from one split, so that their order is
// that of their numbers.
func eventOf(n uint64) event {
	r := keygroup.Mix(n + 1)
	user := r%(users/splits)*splits + n%splits
	return event{n, int64(n) - int64(r>>32%disorderMs), user, int64(r >> 40 % 1000)}
}

// read is the input: so many events, at a rate that a machine takes easily.
func (t task) read(p *pipeline.Pipeline) pipeline.PCollection[event] {
	n := paced.Numbers{Parts: splits}
	n.Due = func(from uint64, since time.Duration) (uint64, bool) {
		due := min(t.Events, n.At(t.Rate, from, since))
		return due, due == t.Events
	}
	return pipeline.Map(pipeline.Read[uint64](p, "chaos.Events", n), eventOf)
}
