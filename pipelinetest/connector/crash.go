package connector

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// checkGoesBack: what was written behind the snapshot that Open is given is undone,
// whether it was prepared or not, and also when that was the beginning.
func (s Sink[T]) checkGoesBack(ctx context.Context, at Target[T]) error {
	a, b, c := s.thirds()
	var state *row
	for _, tc := range []struct {
		story           string
		commits, drops  []T
		prepares, abort bool
	}{
		{"written", nil, a, false, true},
		{"committed nothing, then prepared", []T{}, a, true, true},
		{"committed, then written", a, b, false, true},
		{"committed, then prepared", b, c, true, true},
		{"committed nothing new, then written, and the process has died", []T{}, c, false, false},
		{"nothing, then prepared, and the process has died", nil, c, true, false},
	} {
		w, err := open(ctx, at, 0, 1, state)
		if err != nil {
			return fmt.Errorf("open before %q: %w", tc.story, err)
		}
		if tc.commits != nil {
			if err := w.epoch(tc.commits); err != nil {
				return fmt.Errorf("%s: %w", tc.story, err)
			}
			state = w.state()
		}
		if err := w.write(tc.drops); err != nil {
			return fmt.Errorf("%s: %w", tc.story, err)
		}
		if tc.prepares {
			if err := w.Prepare(w.c); err != nil {
				return fmt.Errorf("%s: prepare: %w", tc.story, err)
			}
		}
		if tc.abort {
			w.Abort(false)
			if err := w.close(); err != nil {
				return err
			}
		}
	}
	w, err := open(ctx, at, 0, 1, state)
	if err != nil {
		return err
	}
	if err := w.epoch(c); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	return at.shows(ctx, "behind all that", texts(s.Input), texts(s.Input))
}

// checkCrash: a process may die between any two calls; the next one opens the sink
// with the state of the last snapshot, which was taken when Prepare had returned.
// What belongs to the snapshot is shown in the end, though Commit or Finish was not
// called or has not come to its end, and it is shown once.
func (s Sink[T]) checkCrash(ctx context.Context, at Target[T]) error {
	a, b, c := s.thirds()
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	if err := w.write(a); err != nil {
		return err
	}
	if err := w.Prepare(w.c); err != nil {
		return err
	}
	state := w.state() // and died before Commit

	if w, err = open(ctx, at, 0, 1, state); err != nil {
		return fmt.Errorf("behind a crash between Prepare and Commit: %w", err)
	}
	if err := w.epoch(b); err != nil {
		return err
	}
	state = w.state() // and died behind Commit

	if w, err = open(ctx, at, 0, 1, state); err != nil {
		return fmt.Errorf("behind a crash that came after Commit: %w", err)
	}
	if err := w.Commit(w.c); err != nil {
		return fmt.Errorf("commit again behind a crash: %w", err)
	}
	if err := w.epoch(c); err != nil {
		return err
	}
	state = w.state()
	for i := range 3 { // died behind Finish, twice
		if i > 0 {
			if w, err = open(ctx, at, 0, 1, state); err != nil {
				return fmt.Errorf("behind a crash that came after Finish: %w", err)
			}
		}
		if i == 2 {
			if err := w.epoch(nil); err != nil {
				return fmt.Errorf("behind a crash that came after Finish: %w", err)
			}
		}
		if err := w.finish(); err != nil {
			return err
		}
		if err := at.shows(ctx, "behind crashes and Finish", texts(s.Input), texts(s.Input)); err != nil {
			return err
		}
	}
	return at.clean(ctx, "behind crashes and Finish")
}

// checkDamaged: a state that Prepare did not give is an error, never a panic.
func (s Sink[T]) checkDamaged(ctx context.Context, at Target[T]) error {
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	if err := w.epoch(s.Input[:1]); err != nil {
		return err
	}
	good := w.state()
	if good == nil || len(good.val) == 0 {
		return nil // it keeps none
	}
	state := good.val
	w.Abort(true)
	rnd := rand.New(rand.NewPCG(7, 8))
	for i := range 100 {
		bad := bytes.Clone(state)
		switch {
		case i == 0:
			bad = bytes.Repeat([]byte{0xff}, 20)
		case i%2 == 0:
			bad = bad[:rnd.IntN(len(bad))]
		default:
			bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		}
		if bytes.Equal(bad, state) || len(bad) == 0 {
			continue
		}
		opened, err := tryState(ctx, at, &row{good.key, bad})
		if err != nil {
			return err
		}
		if opened && i == 0 {
			return fmt.Errorf("a damaged state (% x) is no error", bad)
		}
	}
	return nil
}

func tryState[T any](ctx context.Context, at Target[T], state *row) (opened bool, err error) {
	w, err := open(ctx, at, 0, 1, state)
	switch {
	case err == nil:
		w.Abort(true)
		return true, nil
	case strings.Contains(err.Error(), "panic: "): // the engine makes errors of them
		return false, fmt.Errorf("a damaged state (%q) is a panic: %w", state.val, err)
	}
	return false, nil
}
