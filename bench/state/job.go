package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// load is the job: a source of keys, first each once and then at random, and a
// transform that keeps a value for each.
type load struct {
	setting
	seen  atomic.Pointer[local.Observer]
	first chan bool // the first element that was handled, and whether its key had state
}

func newLoad(s setting) *load { return &load{setting: s, first: make(chan bool, 1)} }

// run runs the job until ctx ends.
func (m *load) run(ctx context.Context, again bool) error {
	p := pipeline.New()
	keys := pipeline.KeyBy(pipeline.Read[uint64](p, "state.Keys", m), func(k uint64) uint64 { return k })
	pad := strings.Repeat("x", max(m.value-8, 0))
	pipeline.Stateful(keys, "values", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
		value := pipeline.ValueState[string](s, "value")
		told := !again
		var b []byte
		return func(c *pipeline.Ctx[uint64], k uint64, _ pipeline.Emit[uint64]) error {
			was := value.Get(c)
			if !told {
				told = true
				select {
				case m.first <- len(was) == m.value:
				default:
				}
			}
			n := uint64(1)
			if was != "" {
				n += binary.LittleEndian.Uint64([]byte(was[:8]))
			}
			b = append(binary.LittleEndian.AppendUint64(b[:0], n), pad...)
			value.Set(c, string(b))
			return nil
		}
	})
	cfg := m.config()
	cfg.Progress = func(o *local.Observer) { m.seen.Store(o) }
	_, err := local.Run(ctx, p, cfg)
	return err
}

func (m *load) Bounded() bool { return false }

func (m *load) Splits(_ context.Context, lanes int) (out []pipeline.Split[uint64], _ error) {
	for i := range lanes {
		out = append(out, &share{m, uint64(i), uint64(lanes)})
	}
	return out, nil
}

// share is one lane's part of the keys' first writes, and of the updates.
type share struct {
	*load
	n, of uint64
}

func (s *share) ID() string  { return fmt.Sprintf("%d/%d", s.n, s.of) }
func (s *share) Size() int64 { return 0 }

func (s *share) Open(_ context.Context, pos []byte) (pipeline.Reader[uint64], error) {
	r := &shareReader{share: s}
	if pos != nil {
		var n int
		if r.next, n = binary.Uvarint(pos); n <= 0 {
			return nil, errors.New("damaged position")
		}
	}
	r.random = rand.New(rand.NewPCG(s.n, r.next))
	return r, nil
}

type shareReader struct {
	*share
	next   uint64
	random *rand.Rand
	_      [64]byte
}

func (r *shareReader) Read(most int, out *pipeline.Output[uint64]) (pipeline.ReadState, error) {
	for range most {
		k := r.next*r.of + r.n
		if k >= r.keys {
			k = r.random.Uint64N(r.keys)
		}
		r.next++
		out.Emit(k)
	}
	return pipeline.More, nil
}
func (r *shareReader) Position(b []byte) []byte { return binary.AppendUvarint(b, r.next) }
func (r *shareReader) Where() string            { return fmt.Sprint("key ", r.next) }
func (r *shareReader) Progress() int64          { return int64(r.next) }
func (r *shareReader) Close() error             { return nil }
