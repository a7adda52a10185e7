package local_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// garden is a source that grows: each of its beds has ten elements, and stays open.
// A bed that was not there from the start has its name in capitals.
type garden struct {
	mu    sync.Mutex
	beds  []string
	grown chan struct{} // something was added
	saved func()        // a checkpoint has all of a bed
	fail  error         // that Grow gives when more is there
}

func (g *garden) Bounded() bool { return false }

func (g *garden) Splits(context.Context, int) (out []pipeline.Split[string], err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.beds {
		out = append(out, bed{b, g})
	}
	return out, nil
}

func (g *garden) Grow(ctx context.Context, lanes int, found func([]pipeline.Split[string])) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.grown:
		}
		if g.fail != nil {
			return g.fail
		}
		all, err := g.Splits(ctx, lanes)
		if err != nil {
			return err
		}
		found(all)
	}
}

// add plants a bed.
func (g *garden) add(name string) {
	g.mu.Lock()
	g.beds = append(g.beds, name)
	g.mu.Unlock()
	g.grown <- struct{}{}
}

type bed struct {
	name string
	in   *garden
}

func (b bed) ID() string  { return b.name }
func (b bed) Size() int64 { return 0 }

func (b bed) Open(_ context.Context, pos []byte) (pipeline.Reader[string], error) {
	r := &bedReader{bed: b}
	if len(pos) == 9 {
		r.n, r.fresh = binary.LittleEndian.Uint64(pos), pos[8] == 1
	} else if pos != nil {
		return nil, errors.New("a damaged position")
	}
	return r, nil
}

func (b bed) OpenNew(context.Context) (pipeline.Reader[string], error) {
	return &bedReader{bed: b, fresh: true}, nil
}

type bedReader struct {
	bed
	n     uint64
	fresh bool
}

func (r *bedReader) Read(_ int, out *pipeline.Output[string]) (pipeline.ReadState, error) {
	if r.n == 10 {
		return pipeline.Idle, nil
	}
	how := "old"
	if r.fresh {
		how = "new"
	}
	out.EmitAt(int64(r.n), fmt.Sprintf("%s %s %d", how, r.name, r.n))
	r.n++
	out.Watermark(int64(r.n))
	return pipeline.More, nil
}

func (r *bedReader) Position(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.n)
	if r.fresh {
		return append(b, 1)
	}
	return append(b, 0)
}

func (r *bedReader) Acknowledge() {
	if r.n == 10 && r.in.saved != nil {
		r.in.saved()
	}
}

func (r *bedReader) Where() string   { return fmt.Sprint(r.name, ":", r.n) }
func (r *bedReader) Progress() int64 { return int64(r.n) }
func (r *bedReader) Close() error    { return nil }

// harvest runs the garden until all of want has come, and returns what came.
func harvest(t *testing.T, g *garden, cfg local.Config, grow func(), want int) (got map[string]int, err error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("enough")
	var mu sync.Mutex
	var begun sync.Once
	got = map[string]int{}
	p := pipeline.New()
	pipeline.ForEach(pipeline.Read(p, "test.Garden", g), func(ctx context.Context, v string) error {
		if pipeline.Durable(ctx) != (cfg.StateDir != "") {
			return errors.New("Durable is wrong")
		}
		begun.Do(func() {
			if grow != nil {
				go grow()
			}
		})
		mu.Lock()
		defer mu.Unlock()
		if got[v]++; len(got) == want {
			cancel(enough)
		}
		return nil
	})
	_, err = local.Run(ctx, p, cfg)
	if errors.Is(err, enough) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return got, err
}

func TestRun_sourceGrows(t *testing.T) {
	for _, lanes := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(lanes, " lanes"), func(t *testing.T) {
			g := &garden{beds: []string{"roses"}, grown: make(chan struct{})}
			got, err := harvest(t, g, local.Config{Parallelism: lanes}, func() { g.add("beans"); g.add("kale") }, 30)
			require.NoError(t, err)
			for i := range 10 {
				for _, name := range []string{"old roses", "new beans", "new kale"} {
					assert.Equal(t, 1, got[fmt.Sprint(name, " ", i)], name)
				}
			}
		})
	}
}

func TestRun_sourceGrowsBetweenRuns(t *testing.T) {
	g := &garden{grown: make(chan struct{}), beds: []string{"roses"}}
	dir := t.TempDir()
	cfg := local.Config{Parallelism: 2, StateDir: dir, Checkpoint: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	g.saved = cancel
	p := pipeline.New()
	pipeline.ForEach(pipeline.Read(p, "test.Garden", g), func(context.Context, string) error { return nil })
	_, err := local.Run(ctx, p, cfg)
	require.ErrorIs(t, err, context.Canceled)

	g.beds, g.saved = []string{"asters", "roses"}, nil
	got, err := harvest(t, g, cfg, nil, 10)
	require.NoError(t, err)
	for i := range 10 {
		assert.Equal(t, 1, got[fmt.Sprint("new asters ", i)], "read from its beginning, and roses not again: %v", got)
	}
}

func TestRun_sourceGrowsWrong(t *testing.T) {
	g := &garden{beds: []string{"roses"}, grown: make(chan struct{}), fail: errors.New("moles")}
	_, err := harvest(t, g, local.Config{Parallelism: 2}, func() { g.add("beans") }, 30)
	require.ErrorContains(t, err, "moles")
	require.ErrorContains(t, err, "test.Garden")
}
