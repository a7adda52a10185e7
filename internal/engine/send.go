package engine

import (
	"github.com/millrace/millrace/internal/graph"
)

// send puts m into q. A lane that waits for room drains its own inputs into the
// stage it waits for and later ones, and no others. So an operator on the stack
// is never entered again, for the stack holds only stages before that one; and
// waiting is no circle: of all waiting lanes, the one at the last stage waits for
// a lane that drains this stage's queues.
func (l *lane) send(in *input, q *queue, to int, m msg) graph.Batch {
	select {
	case q.c <- m:
	default:
		l.sendSlow(in, q, m)
	}
	if to == l.id {
		l.waker.sentToSelf()
	} else {
		l.inc.lanes[to].poke()
	}
	select {
	case b := <-q.free:
		return b
	default:
		return nil
	}
}

func (l *lane) sendSlow(in *input, q *queue, m msg) {
	saved := *l.c
	for {
		select {
		case q.c <- m:
			l.c.Restore(&saved)
			return
		default:
		}
		if l.drain(in.to.id) {
			if l.c.Err() != nil {
				panic(graph.ErrStopped) // unwinds to the lane's loop; the run ends with the failure
			}
			continue
		}
		began := l.inc.run.Clock()
		select {
		case q.c <- m:
			l.blocked += l.inc.run.Clock() - began
			l.c.Restore(&saved)
			return
		case <-l.wake:
			l.waker.tokenTakenBelow()
		case <-l.inc.ctx.Done():
			panic(graph.ErrStopped)
		}
		l.blocked += l.inc.run.Clock() - began
	}
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
