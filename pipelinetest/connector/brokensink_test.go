package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
)

// ledger is a store that outlives processes: what a sink of it has shown, by the
// epoch that it was written in, and what lies there prepared.
type ledger struct {
	sinkFlaws
	mu       sync.Mutex // guards what follows
	shown    map[string][]int
	prepared map[string][]int
	ids      int
}

// sinkFlaws are ways in which a sink breaks the contract.
type sinkFlaws struct {
	eager, eagerPrepare, addsTwice, forgetsPrepared, litters, keepsAborted, oneLane, trusts, panics, lastIsLost bool
	mixesEpochs, keepsLater, dropsPrepared, overwrites                                                          bool
}

func (l *ledger) all() (out []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, vs := range l.shown {
		out = append(out, vs...)
	}
	return out
}

func (l *ledger) Open(_ context.Context, lane, lanes int, state []byte) (pipeline.Writer[int], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &entry{l: l, part: fmt.Sprint(lane, "/", lanes)}
	if l.oneLane && lane > 0 {
		return nil, errors.New("only one")
	}
	if state != nil {
		if l.panics {
			panic("no such thing")
		}
		if err := json.Unmarshal(state, &w.id); err != nil && !l.trusts {
			return nil, err
		}
		if !l.forgetsPrepared { // the snapshot was taken: it counts
			w.show()
		}
	}
	if state == nil && l.overwrites {
		for key := range l.shown {
			if part, _, _ := strings.Cut(key, "#"); part == w.part {
				delete(l.shown, key)
			}
		}
	}
	if !l.keepsLater {
		for key := range l.prepared {
			if part, _, _ := strings.Cut(key, "#"); part == w.part && !l.addsTwice && key != w.key() {
				delete(l.prepared, key)
			}
		}
	}
	return w, nil
}

type entry struct {
	l    *ledger
	part string // of the lane
	id   int    // of the last epoch prepared
	open []int
}

func (w *entry) key() string { return fmt.Sprint(w.part, "#", w.id) }

func (w *entry) show() {
	if vs, ok := w.l.prepared[w.key()]; ok {
		key := w.key()
		if w.l.addsTwice {
			w.l.ids++
			key = fmt.Sprint(w.l.ids)
		} else {
			delete(w.l.prepared, w.key())
		}
		w.l.shown[key] = append(w.l.shown[key], vs...)
	}
}

func (w *entry) Write(v int) error {
	w.open = append(w.open, v)
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if w.l.eager {
		w.l.shown["eager"] = append(w.l.shown["eager"], v)
	}
	if vs, ok := w.l.prepared[w.key()]; ok && w.l.mixesEpochs {
		w.l.prepared[w.key()], w.open = append(vs, v), nil
	}
	return nil
}

func (w *entry) Prepare() ([]byte, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.ids++
	w.id = w.l.ids
	w.l.prepared[w.key()], w.open = w.open, nil
	if w.l.lastIsLost && len(w.l.prepared[w.key()]) > 1 {
		w.l.prepared[w.key()] = w.l.prepared[w.key()][1:]
	}
	if w.l.eagerPrepare {
		w.show()
	}
	return json.Marshal(w.id)
}

func (w *entry) Commit() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.show()
	return nil
}

func (w *entry) Finish() error { return nil }

func (w *entry) Abort(final bool) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if w.l.keepsAborted {
		w.show()
	}
	if !w.l.litters && (final || w.l.dropsPrepared) {
		delete(w.l.prepared, w.key())
	}
}

// Goal: the suite finds what is broken, and says what. Method: a sound sink, which
// passes, with one flaw at a time.
func TestSink_findsFlaws(t *testing.T) {
	s := Sink[int]{Input: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	for _, tc := range []struct {
		flaw sinkFlaws
		want string // in the first broken promise; none: it keeps all
	}{
		{sinkFlaws{}, "all kept"},
		{sinkFlaws{eager: true}, "nothing is shown before it is committed, all when it has ended: behind Write 3 elements are shown that should not be: 1, 2, 3"},
		{sinkFlaws{eagerPrepare: true}, "behind Prepare 3 elements are shown that should not be: 1, 2, 3"},
		{sinkFlaws{addsTwice: true}, "committed twice is shown once: behind Finish 9 elements are shown that should not be"},
		{sinkFlaws{lastIsLost: true}, "behind Finish 3 elements are not shown: 1, 4, 7"},
		{sinkFlaws{keepsAborted: true}, "abort leaves nothing: behind Prepare and Abort 3 elements are shown that should not be: 1, 2, 3"},
		{sinkFlaws{litters: true}, "abort leaves nothing: behind Prepare and Abort there is something unfinished left"},
		{sinkFlaws{oneLane: true}, "lanes write side by side: open the sink: only one"},
		{sinkFlaws{forgetsPrepared: true}, "goes on after a crash: behind crashes and Finish 3 elements are not shown: 1, 2, 3"},
		{sinkFlaws{mixesEpochs: true}, "what is written between Prepare and Commit waits for the next: behind Prepare, Write and Commit 2 elements are shown that should not be: 2, 3"},
		{sinkFlaws{keepsLater: true}, "drops what was written between Prepare and a crash: in the end there is something unfinished left"},
		{sinkFlaws{dropsPrepared: true}, "a run that stops between Prepare and Commit goes on from either: in the end 9 elements are not shown: 1, 2, 3, 4, 5, ..."},
		{sinkFlaws{overwrites: true}, "another number of lanes goes on: in the end 3 elements are not shown: 1, 2, 3"},
		{sinkFlaws{trusts: true}, "a damaged state is an error: a damaged state (ff ff"},
		{sinkFlaws{panics: true}, "goes back to the last snapshot: open before"},
	} {
		got := "all kept"
		for _, c := range s.checks() {
			l := &ledger{sinkFlaws: tc.flaw, shown: map[string][]int{}, prepared: map[string][]int{}}
			at := Target[int]{
				Write: func(c pipeline.PCollection[int]) { pipeline.Write[int](c, "test.Ledger", l) },
				Shown: func(context.Context) ([]int, error) { return l.all(), nil },
				Unfinished: func(context.Context) (out []string, _ error) {
					for k := range l.prepared {
						if !l.addsTwice {
							out = append(out, k)
						}
					}
					return out, nil
				},
			}
			if err := c.run(t.Context(), at); err != nil {
				got = c.name + ": " + err.Error()
				break
			}
		}
		require.Contains(t, got, tc.want, "%+v", tc.flaw)
	}
}
