package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/io/kafka/internal/plant"
)

// simID is a transactional id at a broker, with the log of what it committed and the
// position of its group.
type simID struct {
	epoch  int
	open   bool
	writes []int        // of the open transaction
	mark   *txnPosition // of the open transaction
	log    []int        // as read_committed
	at     txnPosition
	found  bool
}

var (
	errSimFenced   = errors.New("fenced")
	errSimUnstable = errors.New("the position is in an open transaction")
)

func (b *simID) fence() int {
	b.abort()
	return b.epoch
}

func (b *simID) abort() {
	b.open, b.writes, b.mark = false, nil, nil
	b.epoch++
}

func (b *simID) produce(epoch, v int) error {
	if epoch != b.epoch {
		return errSimFenced
	}
	b.open = true
	if !slices.Contains(b.writes, v) { // sequence numbers see to that
		b.writes = append(b.writes, v)
	}
	return nil
}

func (b *simID) commitOffset(epoch int, p txnPosition) error {
	if epoch != b.epoch {
		return errSimFenced
	}
	b.open, b.mark = true, &p
	return nil
}

func (b *simID) end(epoch int) error {
	if epoch != b.epoch {
		return errSimFenced
	}
	b.log = append(b.log, b.writes...)
	if b.mark != nil {
		b.at, b.found = *b.mark, true
	}
	b.open, b.writes, b.mark = false, nil, nil
	return nil
}

func (b *simID) look() (txnPosition, bool, error) {
	if b.mark != nil {
		return txnPosition{}, false, errSimUnstable
	}
	return b.at, b.found, nil
}

// simState is what a snapshot holds of a writer.
type simState struct {
	saved
	values []int
}

// simWriter is a process: a core, its batches, and the engine that drives it.
type simWriter struct {
	core   *txnCore
	epoch  int       // of its producer
	values []int     // of the transaction at hand
	sent   int       // of them, acknowledged
	held   []int     // written behind Prepare
	cut    int       // the snapshot that it is working at, from 1
	wrote  int       // values of this cut
	state  *simState // of its last Prepare
	phase  simPhase
	gone   bool
}

type simPhase uint8

const (
	simOpening simPhase = iota
	simWriting
	simPreparing
	simAhead // prepared: waits for the snapshot
	simCommitting
)

const simPerCut = 3 // values of a cut

// txnSim is a run of one lane: processes that follow one another, and perhaps do not know.
type txnSim struct {
	rnd     *rand.Rand
	id      simID
	writers []*simWriter // the last one is the process that is meant to be
	state   *simState    // of the last snapshot
	taken   int          // snapshots
	tokens  byte
	trouble int // of 100 steps so many go wrong
}

func (s *txnSim) token() token {
	s.tokens++
	return token{s.tokens}
}

// start begins a process from the last snapshot.
func (s *txnSim) start() {
	w := &simWriter{cut: s.taken + 1}
	var from *saved
	if s.state != nil {
		from = &s.state.saved
		w.values = slices.Clone(s.state.values)
	}
	w.core = newTxnCore(from, s.token(), s.token())
	s.writers = append(s.writers, w)
}

// act lets a process do one thing.
func (s *txnSim) act(w *simWriter, current bool) error {
	switch w.phase {
	case simOpening, simCommitting:
		if w.core.goal == toWrite {
			if w.phase == simCommitting {
				w.values, w.sent, w.held = w.held, 0, nil
				if len(w.values) > 0 {
					w.core.wrote()
				}
			}
			w.phase = simWriting
			return nil
		}
	case simWriting:
		if w.wrote < simPerCut && s.rnd.IntN(3) > 0 {
			w.write(&w.values)
			w.core.wrote()
			return nil
		}
		if w.wrote == simPerCut {
			w.core.want(toPrepare)
			w.phase = simPreparing
			return nil
		}
	case simPreparing:
		if w.core.next(w.sent == len(w.values)) == stepNone {
			w.state = &simState{saved{w.core.run, w.core.target().number, w.core.full}, slices.Clone(w.values)}
			w.phase, w.wrote = simAhead, 0
			w.cut++
			return nil
		}
	case simAhead:
		if w.wrote < simPerCut && s.rnd.IntN(3) == 0 {
			w.write(&w.held)
			return nil
		}
		if current && s.rnd.IntN(2) == 0 { // one that was replaced gets no snapshot taken
			s.state, s.taken = w.state, w.cut-1
			w.core.want(toCommit)
			w.phase = simCommitting
		}
		return nil
	}
	return s.step(w)
}

func (w *simWriter) write(to *[]int) {
	*to = append(*to, w.cut*100+w.wrote)
	w.wrote++
}

// step does the core's next step. It may go wrong: before it is done, or behind it.
func (s *txnSim) step(w *simWriter) error {
	st := w.core.next(w.sent == len(w.values))
	wrong := s.rnd.IntN(100)
	if wrong < s.trouble/2 {
		s.lost(w, st)
		return nil
	}
	var err error
	var p txnPosition
	var found bool
	switch st {
	case stepNone:
		return nil
	case stepFence:
		w.epoch = s.id.fence()
	case stepLook:
		p, found, err = s.id.look()
	case stepSend:
		err = s.id.produce(w.epoch, w.values[w.sent])
	case stepMark:
		err = s.id.commitOffset(w.epoch, w.core.target())
	case stepEnd:
		err = s.id.end(w.epoch)
	}
	switch {
	case err != nil || wrong < s.trouble:
		s.lost(w, st)
	case st == stepLook:
		in, err := w.core.look(p, found)
		if errors.Is(err, ErrFenced) {
			w.gone = true
			return nil
		}
		if in {
			w.values, w.sent = nil, 0
		}
		return err
	case st == stepSend:
		w.sent++
	default:
		w.core.done(st)
		if st == stepEnd {
			w.values, w.sent = nil, 0
		}
	}
	return nil
}

func (s *txnSim) lost(w *simWriter, st step) {
	w.core.lost(st)
	if !plant.Is(plant.AbortedDropped) {
		w.sent = 0
	}
}

// run goes on until so many snapshots are taken and committed, and then compares.
func (s *txnSim) run(cuts int) error {
	s.start()
	crashes := 6
	at, burst := 0, 0
	for n := 0; ; n++ {
		w := s.writers[len(s.writers)-1]
		if w.phase == simWriting && s.taken == cuts {
			break
		}
		if n > 100_000 {
			return fmt.Errorf("it does not come to an end: cut %d, phase %d, goal %d", w.cut, w.phase, w.core.goal)
		}
		if w.gone { // an earlier one has opened behind it: whoever looks after processes starts it again
			s.start()
			continue
		}
		if s.rnd.IntN(60) == 0 {
			s.id.abort() // it took too long
		}
		if crashes > 0 && s.rnd.IntN(40) == 0 {
			crashes--
			w.gone = s.rnd.IntN(3) == 0 // else it is not really dead
			s.start()
			at, burst = len(s.writers)-1, s.rnd.IntN(20)
			continue
		}
		if burst--; burst < 0 { // one acts for a while, and the others are paused
			at, burst = s.rnd.IntN(len(s.writers)), s.rnd.IntN(12)
		}
		if w := s.writers[at]; !w.gone {
			if err := s.act(w, at == len(s.writers)-1); err != nil {
				return err
			}
		}
		if s.rnd.IntN(100) == 0 && len(s.writers) > 1 {
			s.writers[s.rnd.IntN(len(s.writers)-1)].gone = true
		}
	}
	var want []int
	for cut := range cuts {
		for i := range simPerCut {
			want = append(want, (cut+1)*100+i)
		}
	}
	if !slices.Equal(want, s.id.log) {
		return fmt.Errorf("committed: %v, want %v", s.id.log, want)
	}
	return nil
}

// simulate runs one seed.
func simulate(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := &txnSim{rnd: rnd, trouble: rnd.IntN(25)}
	if err := s.run(1 + rnd.IntN(5)); err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	return nil
}
