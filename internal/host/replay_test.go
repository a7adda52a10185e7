package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/pipeline"
)

// failing is a pipeline of which some elements fail, behind a first shuffle, where state
// is kept, by an error, and behind a second one by a panic. What was set aside has a third.
func failing(n, keys int, out, letters *ledger) func() *pipeline.Pipeline {
	return func() *pipeline.Pipeline {
		p := pipeline.New()
		byRest := pipeline.KeyBy(pipeline.GenerateSequence(p, uint64(n)), func(v uint64) uint64 { return v % uint64(keys) })
		kept := pipeline.Stateful(byRest, "keep", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
			count := pipeline.ValueState[int](s, "n")
			return func(c *pipeline.Ctx[uint64], v uint64, emit pipeline.Emit[uint64]) error {
				count.Set(c, count.Get(c)+1)
				emit(v)
				if v%1000 == 7 {
					return errors.New("seven")
				}
				return nil
			}
		})
		lines := pipeline.Map(pipeline.Reshuffle(kept), func(v uint64) string {
			if v%1000 == 500 {
				panic("five hundred")
			}
			return fmt.Sprintf("%06d", v)
		})
		pipeline.Write(lines, "test.Write", out)
		aside := pipeline.Map(pipeline.Reshuffle(pipeline.DeadLetters(p)), func(l pipeline.DeadLetter) string {
			why, _, _ := strings.Cut(l.Error, "\n") // what follows are frames of a panic
			return fmt.Sprintf("%s: %s", l.Text, why)
		})
		pipeline.Write(aside, "test.Aside", letters)
		return p
	}
}

// Goal: in a job of several slots, too, an element that fails is set aside, once, and
// nothing else is lost or comes twice; whether slots die meanwhile, and whether sinks wait
// for cuts of the job.
func TestRun_deadLetters(t *testing.T) {
	const n, keys = 20_000, 50
	for _, c := range []struct {
		name       string
		epochSinks bool
		kills      int
	}{{"cuts", false, 0}, {"epochs", true, 0}, {"cuts and kills", false, 8}} {
		t.Run(c.name, func(t *testing.T) {
			out, letters := &ledger{shown: map[uint64][]string{}}, &ledger{shown: map[uint64][]string{}}
			j := newJob(t, 3, 2, failing(n, keys, out, letters)).small()
			j.epochSinks, j.onError = c.epochSinks, engine.DeadLetter
			if c.kills > 0 {
				r := rand.New(rand.NewPCG(1, 7))
				j.killing(c.kills, func(int) { j.killOne(r.IntN(len(j.kill))) })
			}
			j.run()
			var want, aside []string
			for v := range n {
				switch {
				case v%1000 == 7:
					aside = append(aside, fmt.Sprintf("{Key:%d Value:%d}: seven", v%keys, v))
				case v%1000 == 500:
					aside = append(aside, fmt.Sprintf("%d: panic: five hundred", v))
				default:
					want = append(want, fmt.Sprintf("%06d", v))
				}
			}
			slices.Sort(aside)
			require.Equal(t, want, out.lines())
			require.Equal(t, aside, letters.lines())
			for i := range j.hosts {
				require.Equal(t, held.Gen(1), j.hosts[i].Load().core.Gen(), "what fails sends nobody else back")
			}
		})
	}
}

// Goal: where a key is parked, what comes for it later waits behind the element that
// failed, over other slots, too, and the rest runs on.
func TestRun_parked(t *testing.T) {
	const n, keys = 6_000, 60
	out, letters := &ledger{shown: map[uint64][]string{}}, &ledger{shown: map[uint64][]string{}}
	j := newJob(t, 3, 2, failing(n, keys, out, letters)).small()
	j.onError = engine.Park
	j.run()
	parked := map[int]bool{} // a key, once one of its elements has failed
	var want, aside []string
	for v := range n {
		switch k := v % keys; {
		case v%1000 == 7 && !parked[k]:
			parked[k] = true
			aside = append(aside, fmt.Sprintf("{Key:%d Value:%d}: seven", k, v))
		case parked[k]:
			aside = append(aside, fmt.Sprintf("{Key:%d Value:%d}: waited behind an element of its key that failed: seven", k, v))
		case v%1000 == 500:
			aside = append(aside, fmt.Sprintf("%d: panic: five hundred", v))
		default:
			want = append(want, fmt.Sprintf("%06d", v))
		}
	}
	slices.Sort(aside)
	require.NotEmpty(t, parked)
	require.Equal(t, want, out.lines())
	require.Equal(t, aside, letters.lines())
}

// Goal: what fails for a while is tried again, in a job of several slots, too.
func TestRun_retries(t *testing.T) {
	const n = 10_000
	out := &ledger{shown: map[uint64][]string{}}
	var mu sync.Mutex
	failed := map[uint64]int{}
	j := newJob(t, 3, 2, func() *pipeline.Pipeline {
		p := pipeline.New()
		lines := pipeline.TryMap(pipeline.Reshuffle(pipeline.GenerateSequence(p, n)), func(_ context.Context, v uint64) (string, error) {
			if v%1000 == 3 {
				mu.Lock()
				defer mu.Unlock()
				if failed[v]++; failed[v] < 4 {
					return "", errors.New("not yet")
				}
			}
			return fmt.Sprintf("%06d", v), nil
		})
		pipeline.Write(lines, "test.Write", out)
		return p
	}).small()
	j.onError, j.retries = engine.Careful, 5
	j.run()
	require.Len(t, out.lines(), n)
	require.Len(t, slices.Compact(out.lines()), n)
	for v, times := range failed {
		assert.GreaterOrEqual(t, times, 4, "element %d", v)
	}
}
