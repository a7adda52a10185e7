package connector

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/graph"
)

// checkDamaged: bytes that no reader gave are an error when a piece is opened, as
// far as that can be seen, and never a panic, then or later.
func (s Source[T]) checkDamaged(ctx context.Context) error {
	in, err := s.open(ctx, 2)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, sp := range in.splits {
		good, err := in.goodPosition(sp)
		if err != nil {
			return err
		}
		if len(good) == 0 {
			continue // it says nothing
		}
		for _, bad := range [][]byte{{}, bytes.Repeat([]byte{0xff}, 20), append(bytes.Clone(good), 0), binary.AppendUvarint(nil, 1<<63)} {
			if bytes.Equal(bad, good) {
				continue
			}
			opened, err := in.tryPosition(sp, bad)
			if err != nil {
				return err
			}
			if opened {
				return fmt.Errorf("%s: a damaged position (% x, a good one is % x) is no error", sp.ID(), bad, good)
			}
		}
		for range 300 {
			bad := bytes.Clone(good)
			switch rnd.IntN(3) {
			case 0:
				bad = bad[:rnd.IntN(len(bad))]
			case 1:
				bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
			case 2:
				bad = make([]byte, rnd.IntN(2*len(good)+1))
				for i := range bad {
					bad[i] = byte(rnd.Uint32())
				}
			}
			if _, err := in.tryPosition(sp, bad); err != nil {
				return err
			}
		}
	}
	return nil
}

// goodPosition is the position behind the first element, or at the start.
func (in *input[T]) goodPosition(sp graph.Split) ([]byte, error) {
	r, err := in.begin(sp, nil)
	if err != nil {
		return nil, err
	}
	defer r.r.Close()
	if in.of.Feed == nil {
		if _, err := r.poll(1); err != nil {
			return nil, err
		}
	}
	return r.position()
}

// tryPosition opens a piece behind what may be no position, and reads a little.
func (in *input[T]) tryPosition(sp graph.Split, pos []byte) (opened bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: a damaged position (% x) is a panic: %v", sp.ID(), pos, p)
		}
	}()
	r, err := in.begin(sp, pos)
	if err != nil {
		return false, nil
	}
	defer r.r.Close()
	for range 3 {
		state, err := r.r.Poll(r.c, 2)
		if err != nil || state != graph.More {
			break
		}
	}
	r.r.Position(nil)
	r.r.Progress()
	r.r.Where()
	return true, nil
}
