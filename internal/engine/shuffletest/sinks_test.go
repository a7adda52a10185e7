package shuffletest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

var sinkSeeds = flag.Int("sink-seeds", 60, "how many schedules of crashes and rollbacks to run")

// batchMost is the most elements of a batch.
const batchMost = 32

// ledger is a sink that shows each page once, and knows which cut has to name it.
type ledger struct {
	job   *job
	most  int  // lines in a page beyond which a part is crowded; 0: any number
	early bool // a part shows what it had prepared when it is opened again

	mu    sync.Mutex // guards what follows
	shown map[uint64][]string
	wrong []string
}

// page is what a lane has prepared.
type page struct {
	ID    uint64 // of chance
	Gen   int
	Epoch uint64 // at whose end it was
	Lines []string
}

type ledgerWriter struct {
	l    *ledger
	m    *member
	gen  int
	page []string // being filled
	last *page    // prepared
}

func (l *ledger) Open(_ context.Context, lane, _ int, state []byte) (pipeline.Writer[string], error) {
	m := l.job.slots[lane/l.job.lanes]
	w := &ledgerWriter{l: l, m: m, gen: m.runGen}
	if state != nil {
		if err := json.Unmarshal(state, &w.last); err != nil {
			return nil, err
		}
	}
	if l.early {
		return w, w.Commit()
	}
	return w, nil
}

func (w *ledgerWriter) Write(s string) error {
	w.page = append(w.page, s)
	return nil
}

func (w *ledgerWriter) Crowded() bool { return w.l.most > 0 && len(w.page) >= w.l.most }

func (w *ledgerWriter) Prepare() ([]byte, error) {
	if w.l.most > 0 && len(w.page) >= w.l.most+batchMost {
		return nil, fmt.Errorf("%d lines in a page, and %d are many", len(w.page), w.l.most)
	}
	epoch := uint64(1)
	if rec := w.m.Last(); rec != nil {
		epoch = rec.Epoch + 1
	}
	w.last, w.page = &page{rand.Uint64(), w.gen, epoch, w.page}, nil
	return json.Marshal(w.last)
}

func (w *ledgerWriter) Commit() error {
	if w.last == nil || len(w.last.Lines) == 0 {
		return nil
	}
	w.l.job.mu.Lock()
	named := w.m.named[w.last.Gen]
	w.l.job.mu.Unlock()
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if named < w.last.Epoch {
		w.l.wrong = append(w.l.wrong, fmt.Sprintf("slot %d shows epoch %d of generation %d; cuts name %d", w.m.slot, w.last.Epoch, w.last.Gen, named))
	}
	w.l.shown[w.last.ID] = w.last.Lines
	return nil
}

func (w *ledgerWriter) Finish() error {
	if len(w.page) > 0 {
		w.l.mu.Lock()
		defer w.l.mu.Unlock()
		w.l.wrong = append(w.l.wrong, fmt.Sprintf("slot %d ends with %d lines that are not prepared", w.m.slot, len(w.page)))
	}
	return w.Commit()
}

func (w *ledgerWriter) Abort(bool) {}

// count is how many lines are shown.
func (l *ledger) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lines := range l.shown {
		n += len(lines)
	}
	return n
}

// lines are those that are shown, in order.
func (l *ledger) lines() string {
	var all []string
	for _, lines := range l.shown {
		all = append(all, lines...)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// sinksOnCuts runs one program as a seed says, with slots that end and ways back, and says
// what is wrong with what was shown.
func sinksOnCuts(ctx context.Context, seed uint64, want []string) (j *job, crashes int, err error) {
	x := programs[seed%uint64(len(programs))]
	rnd := rand.New(rand.NewPCG(seed, 2))
	j = newJob(1+rnd.IntN(3), 1+rnd.IntN(2))
	j.window = rnd.IntN(4)
	j.cuts = &cuts{rnd: rnd, rollbacks: rnd.IntN(5)}
	often := map[where]int{sending: 1 + rnd.IntN(400), taking: 1 + rnd.IntN(800), cutting: 20, committing: 20, committed: 20}
	most := rnd.IntN(9)
	j.fault = func(w where) bool { // with the job's lock held
		if crashes == most || rnd.IntN(often[w]) > 0 {
			return false
		}
		crashes++
		return true
	}
	cfg := engine.Config{Epoch: time.Millisecond, Ahead: rnd.IntN(2) == 0, Batch: 1 + rnd.IntN(batchMost)}
	if rnd.IntN(3) == 0 {
		cfg.HeldMemory = 1
	}
	out := &ledger{job: j, early: rnd.IntN(2) == 0, shown: map[uint64][]string{}}
	if rnd.IntN(3) == 0 {
		out.most = 300
	}
	p := pipeline.New()
	pipeline.Write(x.build(p), "test.Write", out)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = j.runAll(ctx, p.Graph(), cfg, never)
	switch got := out.lines(); {
	case err != nil:
	case len(out.wrong) > 0:
		err = errors.New(out.wrong[0])
	case got != want[seed%uint64(len(programs))]:
		err = fmt.Errorf("not what one slot gives, but:\n%s", got)
	}
	if err != nil {
		err = fmt.Errorf("%s, %d slots of %d lanes: %w", x.name, len(j.slots), j.lanes, err)
	}
	return j, crashes, err
}

// outcomes are those of all programs, in one slot.
func outcomes(t *testing.T) (want []string) {
	for _, x := range programs {
		want = append(want, x.alone(t))
	}
	return want
}

// Goal: sinks that wait for cuts show everything once, and nothing that no complete cut
// names, though slots end anywhere and the job goes back to its last cut at any time.
// Method: seeds; cuts are completed late, or given up, and slots hear of them late.
func TestSinks_onCuts(t *testing.T) {
	want := outcomes(t)
	var complete, givenUp, back, crashes int
	n := seeds(uint64(*sinkSeeds))
	for seed := range n {
		j, c, err := sinksOnCuts(t.Context(), seed, want)
		require.NoError(t, err, "seed %d", seed)
		complete, givenUp, back, crashes = complete+j.cuts.complete, givenUp+j.cuts.givenUp, back+j.cuts.back, crashes+c
	}
	t.Logf("%d seeds: %d cuts complete, %d given up, %d rollbacks, %d crashes", n, complete, givenUp, back, crashes)
	for _, some := range []int{complete, givenUp, back, crashes} {
		require.Positive(t, some)
	}
}
