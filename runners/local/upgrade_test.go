package local_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	_ "github.com/millrace/millrace/runners/local/pebble"
	"github.com/stretchr/testify/require"
)

// orders is an endless source in two splits: order n of split s is of customer n%5 and
// over n. It ends the run, once, when one of its splits has come to stop and a
// checkpoint was taken; with stop 0 both splits end at orders' end.
type orders struct {
	end, stop int
	hold      func() bool // at stop, until it says false; may be nil
	seen      *local.Observer
	quit      context.CancelCauseFunc
}

var errStopped = errors.New("stopped for an upgrade")

func (*orders) Bounded() bool { return false }

func (o *orders) Splits(context.Context, int) ([]pipeline.Split[order], error) {
	return []pipeline.Split[order]{ordersSplit{o, 0}, ordersSplit{o, 1}}, nil
}

type order struct {
	Customer string
	Amount   int
}

type ordersSplit struct {
	*orders
	n int
}

func (s ordersSplit) ID() string  { return fmt.Sprint("orders-", s.n) }
func (s ordersSplit) Size() int64 { return 0 }
func (s ordersSplit) Open(_ context.Context, pos []byte) (pipeline.Reader[order], error) {
	r := &ordersReader{ordersSplit: s}
	if pos != nil {
		r.next = int(binary.BigEndian.Uint32(pos))
	}
	return r, nil
}

type ordersReader struct {
	ordersSplit
	next int
}

func (r *ordersReader) Read(most int, out *pipeline.Output[order]) (pipeline.ReadState, error) {
	for range min(most, 7) {
		switch {
		case r.next == r.end:
			return pipeline.Done, nil
		case r.stop > 0 && r.next >= r.stop && r.hold != nil && r.hold():
			return pipeline.Idle, nil
		case r.stop > 0 && r.next >= r.stop && r.seen.Checkpoint().Epoch > 0:
			r.quit(errStopped)
			return pipeline.Idle, nil
		case r.stop > 0 && r.next >= r.stop+100: // far enough behind the checkpoint
			return pipeline.Idle, nil
		}
		out.Emit(order{fmt.Sprint("customer ", r.next%5), r.next})
		r.next++
	}
	return pipeline.More, nil
}
func (r *ordersReader) Position(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(r.next))
}
func (r *ordersReader) Where() string   { return fmt.Sprint("order ", r.next) }
func (r *ordersReader) Progress() int64 { return int64(r.next) }
func (r *ordersReader) Close() error    { return nil }

// book is a sink outside of the job: what a lane has prepared under a number is there
// when it is committed, once.
type book struct {
	mu    sync.Mutex
	pages map[string][]string // by lane and number
	shown map[string]bool
}

func (b *book) Open(_ context.Context, lane, lanes int, state []byte) (pipeline.Writer[string], error) {
	w := &bookWriter{book: b, name: fmt.Sprintf("%d of %d", lane, lanes)}
	if state != nil {
		w.prepared = string(state)
		w.n = int(binary.BigEndian.Uint32(state[len(state)-4:])) + 1
	}
	return w, nil
}

type bookWriter struct {
	*book
	name     string
	n        int
	lines    []string
	prepared string
}

func (w *bookWriter) Write(s string) error { w.lines = append(w.lines, s); return nil }
func (w *bookWriter) Prepare() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prepared = string(binary.BigEndian.AppendUint32([]byte(w.name), uint32(w.n)))
	w.pages[w.prepared] = w.lines
	w.lines = nil
	w.n++
	return []byte(w.prepared), nil
}
func (w *bookWriter) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown[w.prepared] = true
	return nil
}
func (w *bookWriter) Finish() error { return w.Commit() }
func (w *bookWriter) Abort(bool)    {}

// The state of three releases of a program.
type (
	totalV1 struct{ Orders, Sum int32 }
	totalV2 struct {
		Sum, Orders int64  // wider, and in another order
		Last        string // new
	}
	totalBad struct{ Orders, Sum string }
)

// totals keeps a T for each customer.
func totals[T any](p *pipeline.Pipeline, src *orders, to *book, add func(*T, order) (orders, sum int64)) {
	perCustomer := pipeline.KeyBy(pipeline.Read[order](p, "orders.Read", src), func(o order) string { return o.Customer })
	lines := pipeline.Stateful(perCustomer, "totals", func(s *pipeline.Setup[string, string]) pipeline.Process[string, order, string] {
		total := pipeline.ValueState[T](s, "total")
		return func(c *pipeline.Ctx[string], o order, emit pipeline.Emit[string]) error {
			t := total.Get(c)
			n, sum := add(&t, o)
			total.Set(c, t)
			emit(fmt.Sprintf("%s: %d orders", c.Key(), n))
			if n%1000 == 0 {
				emit(fmt.Sprintf("%s: %d orders of %d", c.Key(), n, sum))
			}
			return nil
		}
	})
	pipeline.Write(lines, "book.Write", to)
}

func addV1(t *totalV1, o order) (int64, int64) {
	t.Orders++
	t.Sum += int32(o.Amount)
	return int64(t.Orders), int64(t.Sum)
}

func addV2(t *totalV2, o order) (int64, int64) {
	t.Orders++
	t.Sum += int64(o.Amount)
	t.Last = o.Customer
	return t.Orders, t.Sum
}

// run runs one release until its source stops it, or to the end.
func runRelease(t *testing.T, src *orders, cfg local.Config, build func(p *pipeline.Pipeline)) error {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	src.quit = cancel
	cfg.Progress = func(o *local.Observer) { src.seen = o }
	cfg.Checkpoint = 2 * time.Millisecond
	p := pipeline.New()
	build(p)
	_, err := local.Run(ctx, p, cfg)
	return err
}

// Goal: a job is upgraded twice while its input goes on, and its results are exact;
// what does not fit is refused, and nothing is touched by that. Method: the state's
// struct gets a field and wider ones, then the job gets more lanes; each customer's
// orders are counted without a gap.
func TestRun_upgraded(t *testing.T) {
	for _, state := range backends {
		t.Run(state, func(t *testing.T) {
			const end = 20_000
			to := &book{pages: map[string][]string{}, shown: map[string]bool{}}
			cfg := local.Config{Parallelism: 2, StateDir: t.TempDir(), State: state}
			src := &orders{end: end, stop: 5_000}
			err := runRelease(t, src, cfg, func(p *pipeline.Pipeline) { totals(p, src, to, addV1) })
			require.ErrorIs(t, err, errStopped)

			src = &orders{end: end, stop: 10_000}
			err = runRelease(t, src, cfg, func(p *pipeline.Pipeline) {
				totals(p, src, to, func(*totalBad, order) (int64, int64) { panic("must not run") })
			})
			require.ErrorContains(t, err, "does not fit the pipeline; nothing was changed")
			require.ErrorContains(t, err, refusal)

			err = runRelease(t, src, cfg, func(p *pipeline.Pipeline) { totals(p, src, to, addV2) })
			require.ErrorIs(t, err, errStopped)

			cfg.Parallelism = 3
			src = &orders{end: end}
			require.NoError(t, runRelease(t, src, cfg, func(p *pipeline.Pipeline) { totals(p, src, to, addV2) }))

			var want, got []string
			const each = 2 * end / 5
			for k := range 5 {
				for n := range each {
					want = append(want, fmt.Sprintf("customer %d: %d orders", k, n+1))
				}
			}
			sums := 0
			for page := range to.shown {
				for _, line := range to.pages[page] {
					var k, n, sum int
					if _, err := fmt.Sscanf(line, "customer %d: %d orders of %d", &k, &n, &sum); err != nil {
						got = append(got, line)
					} else if sums++; n == each {
						require.Equal(t, 2*(k*(end/5)+5*(end/5)*(end/5-1)/2), sum)
					}
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			require.Equal(t, want, got)
			require.Equal(t, 5*each/1000, sums)
		})
	}
}

// refusal is the sentence for a struct whose field has got another type.
const refusal = `the state of Stateful "totals" can't be kept: value total: field Orders: int32 cannot become string; keep the field as it was and add another one; or allow that it is dropped (-allow-dropped totals)`

var backends = []string{"memory", "pebble"}
