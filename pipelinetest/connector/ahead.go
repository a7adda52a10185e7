package connector

import (
	"context"
	"fmt"
)

// checkCrashAhead: a process dies when it has written on behind Prepare, before or
// after Commit, once and again; what counts is the snapshot, and nothing else is left.
func (s Sink[T]) checkCrashAhead(ctx context.Context, at Target[T]) error {
	var state *row
	var done []T
	for round, part := range chunks(s.Input, 2) {
		for try, commits := range []bool{false, true, false} {
			where := fmt.Sprintf("crash %d of round %d", try, round)
			w, err := open(ctx, at, 0, 1, state)
			if err != nil {
				return fmt.Errorf("open before %s: %w", where, err)
			}
			switch try {
			case 0: // dies before the snapshot is taken
				if err := w.write(s.Input); err != nil {
					return err
				}
				if err := w.Prepare(w.c); err != nil {
					return fmt.Errorf("prepare: %w", err)
				}
			case 1:
				if err := w.write(part); err != nil {
					return err
				}
				if err := w.Prepare(w.c); err != nil {
					return fmt.Errorf("prepare: %w", err)
				}
				state = w.state()
				done = append(done, part...)
			case 2: // and again, behind nothing but Open
			}
			if err := w.write(s.Input); err != nil {
				return fmt.Errorf("write behind Prepare: %w", err)
			}
			if commits {
				if err := w.Commit(w.c); err != nil {
					return fmt.Errorf("commit: %w", err)
				}
				if err := w.write(s.Input); err != nil {
					return fmt.Errorf("write behind Commit: %w", err)
				}
			}
			if err := at.shows(ctx, "behind "+where, nil, texts(done)); err != nil {
				return err
			}
		}
	}
	return s.endsFrom(ctx, at, state)
}

// checkStopsAhead: Abort comes between Prepare and Commit, and nobody can say yet
// whether the snapshot was taken.
func (s Sink[T]) checkStopsAhead(ctx context.Context, at Target[T]) error {
	var state *row
	for round, part := range chunks(s.Input, 2) {
		for try := range 3 {
			w, err := open(ctx, at, 0, 1, state)
			if err != nil {
				return fmt.Errorf("open behind abort %d of round %d: %w", try, round, err)
			}
			if err := w.write(part); err != nil {
				return err
			}
			if err := w.Prepare(w.c); err != nil {
				return fmt.Errorf("prepare: %w", err)
			}
			if try == 1 { // it was taken
				state = w.state()
				part = nil
			}
			if err := w.write(s.Input); err != nil {
				return fmt.Errorf("write behind Prepare: %w", err)
			}
			w.Abort(false)
			if err := w.close(); err != nil {
				return err
			}
		}
	}
	return s.endsFrom(ctx, at, state)
}

// endsFrom goes on from state, with nothing more to write, and looks at the end.
func (s Sink[T]) endsFrom(ctx context.Context, at Target[T], state *row) error {
	w, err := open(ctx, at, 0, 1, state)
	if err != nil {
		return err
	}
	if err := w.epoch(nil); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := at.shows(ctx, "in the end", texts(s.Input), texts(s.Input)); err != nil {
		return err
	}
	return at.clean(ctx, "in the end")
}

// checkRescale: a run goes on with other numbers of lanes, and comes back to one that
// it had before. Each is stopped behind a snapshot with more written; the first time
// that its successor starts, that dies, too, before its first snapshot.
func (s Sink[T]) checkRescale(ctx context.Context, at Target[T]) error {
	lanes := []int{2, 3, 1, 2, 3}
	var states []*row // of the lanes of the last run
	for round, part := range chunks(s.Input, len(lanes)) {
		n := lanes[round]
		for try := range 2 {
			var ws []*writer[T]
			for lane := range n {
				w, err := openBehind(ctx, at, lane, n, states)
				if err != nil {
					return fmt.Errorf("open lane %d of %d behind %d lanes: %w", lane, n, len(states), err)
				}
				ws = append(ws, w)
			}
			if try == 0 {
				if err := ws[0].write(s.Input); err != nil {
					return err
				}
				continue
			}
			states = nil
			for i, w := range ws {
				var mine []T
				if w.single && i == 0 {
					mine = part
				} else if !w.single {
					mine = part[i*len(part)/n : (i+1)*len(part)/n]
				}
				if err := w.epoch(mine); err != nil {
					return err
				}
				states = append(states, w.state())
				if round == len(lanes)-1 {
					if err := w.finish(); err != nil {
						return err
					}
					continue
				}
				if !w.single || i == 0 {
					if err := w.write(part); err != nil {
						return err
					}
				}
				w.Abort(false)
				if err := w.close(); err != nil {
					return err
				}
			}
		}
	}
	if err := at.shows(ctx, "in the end", texts(s.Input), texts(s.Input)); err != nil {
		return err
	}
	return at.clean(ctx, "in the end")
}

// chunks cuts vs in n parts.
func chunks[T any](vs []T, n int) (out [][]T) {
	for i := range n {
		out = append(out, vs[i*len(vs)/n:(i+1)*len(vs)/n])
	}
	return out
}
