package chaos

import (
	"os"
	"strconv"
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
		due, events := n.At(t.Rate, from, since), t.Events
		if t.End != "" {
			b, err := os.ReadFile(t.End)
			if err != nil {
				return due, false
			}
			if events, err = strconv.ParseUint(string(b), 10, 64); err != nil {
				panic("BUG: chaos: the number of events: " + err.Error())
			}
		}
		due = min(events, due)
		return due, due == events
	}
	return pipeline.Map(pipeline.Read[uint64](p, "chaos.Events", n), eventOf)
}

// end says how many events there are in a job that did not know it: more than have been read
// since it began, at its rate. Who finds the file finds all of it.
func (t *task) end(began time.Time) error {
	t.Events = max(t.Events, uint64(time.Since(began).Seconds()*t.Rate+1)*splits)
	if err := os.WriteFile(t.End+".tmp", strconv.AppendUint(nil, t.Events, 10), 0o600); err != nil {
		return err
	}
	return os.Rename(t.End+".tmp", t.End)
}
